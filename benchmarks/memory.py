"""How much memory does a training run take beside the one copy of its frames?

    python benchmarks/memory.py [--out results/benchmarks/memory.json]

Loads the paper's 100 000 Pong frames (collecting them first if need be), trains ST-DIM for a few
batches through the trainer, and reads the process's peak resident size.
"""

from __future__ import annotations

import resource
import sys

import as_command_line  # noqa: F401
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from pytorch_lightning import Trainer
from record import script_parser, write_record

from lightning_stdim.datamodules.atari import AtariDataModule
from lightning_stdim.methods import STDIM

BYTES = 1 if sys.platform == "darwin" else 1024
"""The unit of ru_maxrss."""


def peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * BYTES


def main() -> None:
    parser = script_parser(__doc__)
    parser.add_argument("--steps", type=int, default=100_000, help="frames to load")
    parser.add_argument("--batches", type=int, default=10, help="batches to take")
    parser.add_argument("--root", default="data", help="folder of the collections")
    parser.add_argument("--out", help="file for the record (JSON)")
    arguments = parser.parse_args()
    imported = peak()
    data = AtariDataModule("pong", steps=arguments.steps, root=arguments.root, stage="pretrain")
    trainer = Trainer(
        max_epochs=1,
        accelerator="cpu",
        plugins=LightningEnvironment(),  # also where a scheduler started this process
        limit_train_batches=arguments.batches,
        limit_val_batches=2,
        num_sanity_val_steps=0,
        logger=False,
        enable_checkpointing=False,
        enable_model_summary=False,
    )
    data.collect("pretrain")
    data.prepare_data = lambda: None  # type: ignore[method-assign]  # the probe's frames are not needed
    trainer.fit(STDIM(), datamodule=data)
    frames = arguments.steps * 210 * 160
    beside = peak() - frames
    print(f"frames, one uint8 copy: {frames / 1e9:.2f} GB")
    print(f"peak resident size: {peak() / 1e9:.2f} GB, {beside / 1e9:.2f} GB beside the frames")
    print(f"of it by imports alone: {imported / 1e9:.2f} GB")
    write_record(
        arguments.out,
        {"frames_bytes": frames, "peak_bytes": peak(), "imports_bytes": imported},
    )


if __name__ == "__main__":
    main()
