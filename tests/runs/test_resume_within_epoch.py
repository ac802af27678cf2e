"""A run that goes on from within an epoch is the run that was never interrupted."""

from __future__ import annotations

import csv
import os
import random
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from pytorch_lightning import Callback, LightningModule, Trainer, seed_everything
from torch import Tensor, nn
from torch.nn import functional as F

from lightning_stdim import AtariDataModule
from lightning_stdim.datamodules.batches import SequenceBatch
from lightning_stdim.methods import BYOL, VAE, SSLMethod
from lightning_stdim.probes import Supervised
from lightning_stdim.runs.lightning import AtomicCheckpointIO, LastCheckpoint, run_callbacks
from lightning_stdim.runs.lightning import run_loggers as loggers
from tests.trainers import quiet, torchrun_environment

BATCHES, EPOCHS = 4, 2
LAST = "checkpoints/last.ckpt"


class Encoder(nn.Sequential):
    """Small, with noise from the global generators."""

    def __init__(self) -> None:
        super().__init__(Small(), nn.Linear(35, 8), nn.Dropout(0.3))


class Small(nn.Module):
    def forward(self, frames: Tensor) -> Tensor:
        return F.avg_pool2d(frames.float() / 255, 30).flatten(1)


ENCODER = f"{__name__}:Encoder"


class Noisy(SSLMethod):
    """Draws from every generator that a loss could."""

    def loss(self, batch: SequenceBatch) -> dict[str, Tensor]:
        past, present = (self(frames) for frames in batch.frames)
        noise = torch.randn(()) + random.random() + np.random.rand()  # noqa: NPY002
        terms = {"loss": F.mse_loss(past + noise, present)}
        return terms | ({"even": noise} if self.global_step % 2 == 0 else {})


class Seen(Callback):
    """The batches that were trained on, and an interruption before one of them."""

    def __init__(self, stop_before: int | None = None) -> None:
        self.batches: list[list[int]] = []
        self.stop_before = stop_before

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        if len(self.batches) == self.stop_before:
            raise RuntimeError("killed")
        self.batches.append(getattr(batch, "anchors", batch[0].float().mean((1, 2, 3))).tolist())


def train(
    folder: Path,
    make: Callable[[], LightningModule],
    data: dict[str, Any],
    *,
    stop_before: int | None = None,
    resume: str | None = None,
    also: Sequence[Callback] = (),
    **options: Any,
) -> list[list[int]]:
    """Train in a run's directory, and return the batches."""
    seed_everything(7)
    model = make()
    checkpoint = folder / resume if resume else None
    seen = Seen(stop_before)
    callbacks = [seen, *also, *run_callbacks(folder, model, [])]
    for callback in callbacks:
        if isinstance(callback, LastCheckpoint):
            callback.minutes = 0
    found = torch.load(checkpoint, weights_only=True) if checkpoint else None
    trainer = quiet(
        **{"max_epochs": EPOCHS, "limit_train_batches": BATCHES, "limit_val_batches": 2} | options,
        num_sanity_val_steps=0,
        callbacks=callbacks,
        logger=loggers(folder, resumed_from=found)[:1],
        plugins=[AtomicCheckpointIO()],
        enable_checkpointing=True,
        default_root_dir=folder,
    )
    datamodule = AtariDataModule("breakout", **data, batch_size=8)
    killed = nullcontext() if stop_before is None else pytest.raises(RuntimeError, match="killed")
    with killed:
        trainer.fit(model, datamodule=datamodule, ckpt_path=checkpoint, weights_only=True)
    return seen.batches


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "metrics.csv").open(newline="") as file:
        # Columns come in the order of their first value.
        return [dict(sorted(row.items())) for row in csv.DictReader(file)]


def same(one: Any, other: Any) -> bool:
    if isinstance(one, Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[k], other[k]) for k in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)


def assert_same_run(whole: Path, parts: Path) -> None:
    assert rows(whole) == rows(parts)
    kept = {path.name for path in (whole / "checkpoints").iterdir()}
    assert kept == {path.name for path in (parts / "checkpoints").iterdir()}
    for name in kept:
        one, other = (
            torch.load(run / "checkpoints" / name, weights_only=True) for run in (whole, parts)
        )
        for key in ("state_dict", "optimizer_states", "lr_schedulers", "exact_resume", "epoch"):
            assert same(one[key], other[key]), (name, key)


METHODS: dict[str, Callable[[], LightningModule]] = {
    "global noise": lambda: Noisy(encoder=ENCODER, warmup_steps=5),
    "target network": lambda: BYOL(encoder=ENCODER, hidden_dim=8, projection_dim=4),
    "noise of its own": lambda: VAE(encoder_args={"resize": [76, 81]}),
    "supervised": lambda: Supervised(encoder=ENCODER),
    "an optimiser per variable": lambda: Supervised(encoder=ENCODER, optimizers="per_variable"),
    "an encoder per variable": lambda: Supervised(encoder=ENCODER, per_variable_encoder=True),
}
POINTS = [1, 3, 4, 5, 7]  # the first batches, the last, the end of an epoch, and the next one


@pytest.mark.parametrize("method", METHODS)
def test_killed_anywhere(tmp_path: Path, small: dict[str, Any], method: str) -> None:
    """With a checkpoint after every batch."""
    make = METHODS[method]
    whole = train(tmp_path / "whole", make, small)
    assert len(whole) == BATCHES * EPOCHS
    for done in POINTS:
        parts = tmp_path / f"killed-{done}"
        before = train(parts, make, small, stop_before=done)
        after = train(parts, make, small, resume=LAST)
        assert before + after == whole, f"killed after {done} batches"
        assert_same_run(tmp_path / "whole", parts)


@pytest.mark.parametrize(
    "options",
    [
        {"val_check_interval": 2},
        {"val_check_interval": 3},
        {"check_val_every_n_epoch": 2},
        {"check_val_every_n_epoch": None, "val_check_interval": 3},
        {"accumulate_grad_batches": 2},
        {"accumulate_grad_batches": 2, "val_check_interval": 3},
        {"limit_val_batches": 0},
    ],
    ids=str,
)
def test_killed_where_validations_lie_within_epochs(
    tmp_path: Path, small: dict[str, Any], options: dict[str, Any]
) -> None:
    make = METHODS["global noise"]
    whole = train(tmp_path / "whole", make, small, **options)
    for done in (2, 3, 4, 7):
        parts = tmp_path / f"killed-{done}"
        before = train(parts, make, small, stop_before=done, **options)
        resumed = (parts / LAST).is_file()
        after = train(parts, make, small, resume=LAST if resumed else None, **options)
        assert before[: len(whole) - len(after)] + after == whole, f"killed after {done} batches"
        assert_same_run(tmp_path / "whole", parts)


class SaveAtValidation(Callback):
    """As a best checkpoint is written, after the last batch of the first epoch."""

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.fit_loop.total_batch_idx == BATCHES - 1:
            trainer.save_checkpoint(Path(trainer.default_root_dir) / "kept.ckpt")


def test_from_a_validation_after_the_last_batch_of_an_epoch(
    tmp_path: Path, small: dict[str, Any]
) -> None:
    """The epoch's means are still to be logged."""
    make, options = METHODS["global noise"], {"val_check_interval": 2}
    whole = train(tmp_path / "whole", make, small, **options)
    train(tmp_path / "parts", make, small, also=[SaveAtValidation()], **options)
    after = train(tmp_path / "parts", make, small, resume="kept.ckpt", **options)
    assert after == whole[BATCHES:]
    assert_same_run(tmp_path / "whole", tmp_path / "parts")


@pytest.mark.parametrize("steps", POINTS)
@pytest.mark.parametrize("options", [{}, {"val_check_interval": 2}], ids=str)
def test_max_steps_within_an_epoch(
    tmp_path: Path, small: dict[str, Any], steps: int, options: dict[str, Any]
) -> None:
    make = METHODS["global noise"]
    whole = train(tmp_path / "whole", make, small, max_steps=8, **options)
    before = train(tmp_path / "parts", make, small, max_steps=steps, **options)
    after = train(tmp_path / "parts", make, small, max_steps=8, resume=LAST, **options)
    assert before + after == whole
    assert_same_run(tmp_path / "whole", tmp_path / "parts")


WORLD = 2


def run_rank(rank: int, small: dict[str, Any], folder: Path) -> None:
    torch.set_num_threads(1)
    store = f"file://{folder / 'store'}"
    dist.init_process_group("gloo", init_method=store, rank=rank, world_size=WORLD)
    os.environ |= torchrun_environment(rank, WORLD)
    make, options = METHODS["global noise"], {"devices": WORLD, "strategy": "ddp"}
    options |= {"accumulate_grad_batches": 2, "val_check_interval": 3}
    whole = train(folder / "whole", make, small, **options)
    before = train(folder / "parts", make, small, max_steps=3, **options)  # the sixth batch
    after = train(folder / "parts", make, small, resume=LAST, **options)
    assert before + after == whole
    dist.destroy_process_group()


def test_two_processes(tmp_path: Path, small: dict[str, Any]) -> None:
    """Every rank draws its own numbers, and has means and gradients of its own."""
    AtariDataModule("breakout", **small).prepare_data()
    mp.spawn(run_rank, (small, tmp_path), nprocs=WORLD)
    assert_same_run(tmp_path / "whole", tmp_path / "parts")
