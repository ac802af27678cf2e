"""What does a training step cost before it computes anything?

    python benchmarks/overhead.py [--out results/benchmarks/overhead.json]

A method whose loss is a weight takes the steps of an epoch in a bare loop, in the trainer, and in
the trainer with Lightning's own logging (``log_dict`` in every step). The sampler chooses the
positions of as many batches. This is the host's work. It is the same beside a GPU, where a whole
step should take about a millisecond. The times are processor times, which other load disturbs
less.
"""

from __future__ import annotations

import logging
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from pytorch_lightning import Trainer
from record import print_table, script_parser, write_record, write_table
from timing import in_turn
from torch import Tensor, nn
from torch.utils.data import DataLoader
from workload import training_step

from lightning_stdim import SSLMethod
from lightning_stdim.datamodules.batches import SequenceBatch
from lightning_stdim.datamodules.samplers import SequenceSampler

TERMS = ("loss", "global_local", "local_local", "unbalance")  # ST-DIM's


class Weight(nn.Linear):
    """Stands in for an encoder."""

    def __init__(self) -> None:
        super().__init__(1, 1, bias=False)


class Nothing(SSLMethod):
    """Computes nothing, and logs as much as ST-DIM."""

    def __init__(self) -> None:
        super().__init__(encoder=f"{__name__}.Weight")

    def loss(self, batch: SequenceBatch) -> dict[str, Tensor]:
        """Give the weight, under every name."""
        return dict.fromkeys(TERMS, next(self.encoder.parameters()).sum())


class LogsEveryStep(Nothing):
    """The same, with Lightning's own means over the epoch."""

    def training_step(self, batch: SequenceBatch, batch_idx: int) -> Tensor:
        """Hand every term to Lightning."""
        terms = self.loss(batch)
        logs = {f"train/{name}": value.detach() for name, value in terms.items()}
        self.log_dict(logs, on_step=False, on_epoch=True, batch_size=64)
        return terms["loss"]


def fit(method: SSLMethod, batches: list[SequenceBatch]) -> None:
    """Train for an epoch."""
    trainer = Trainer(
        accelerator="cpu",
        plugins=LightningEnvironment(),  # also where a scheduler started this process
        max_epochs=1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(method, DataLoader(batches, batch_size=None))  # type: ignore[arg-type]


def main() -> None:
    parser = script_parser(__doc__)
    parser.add_argument("--steps", type=int, default=1_000, help="training steps")
    parser.add_argument("--repeats", type=int, default=7, help="rounds to measure")
    parser.add_argument("--out", help="file for the record (JSON)")
    arguments = parser.parse_args()
    warnings.filterwarnings("ignore", module="pytorch_lightning")
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    steps = arguments.steps
    batch = SequenceBatch(torch.zeros((2, 64, 1, 1, 1), dtype=torch.uint8), torch.arange(64))
    method = Nothing()
    step = training_step(method, lambda: method.loss(batch)["loss"])
    episodes = np.array([[1000 * k, 1000] for k in range(max(1, -(-64 * steps // 1000)))])
    sampler = SequenceSampler(episodes, sequence_length=2, batch_size=64, seed=0)
    variants: dict[str, Callable[[], Any]] = {
        "bare loop": lambda: [step() for _ in range(steps)],
        "trainer": lambda: fit(Nothing(), [batch] * steps),
        "trainer, log_dict in every step": lambda: fit(LogsEveryStep(), [batch] * steps),
        "sampler": lambda: list(sampler),
    }
    rounds = in_turn(variants, repeats=arguments.repeats, warm_up=1, clock=time.process_time)
    headings = ("what", "us a step", "of the trainer's")
    rows = [
        (name, f"{1e6 * rounds.median(name) / steps:.0f}", f"{rounds.ratio(name, 'trainer'):.2f}")
        for name in variants
    ]
    print_table(f"Steps of nothing, median of {arguments.repeats}", headings, rows)
    write_record(arguments.out, {"steps": steps, "processor_seconds": rounds.values})
    write_table(arguments.out, headings, rows)


if __name__ == "__main__":
    main()
