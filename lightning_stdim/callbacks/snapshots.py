"""The weights after chosen numbers of optimiser steps, for F1 against training steps."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.utilities import rank_zero_info

from lightning_stdim.callbacks.stopping import check_weights
from lightning_stdim.utils.checks import ascending


class Snapshots(Callback):
    """Write checkpoints of the weights alone, ``step<N>.ckpt``, after N optimiser steps.

    A snapshot holds no state of the optimiser: an encoder can be loaded from it, but training
    cannot go on from it. Training is the same with and without snapshots. A resumed run writes
    those that are still to come. Where a batch takes several optimiser steps, the snapshot is of
    the end of the batch in which step N is taken.

    Args:
        folder: folder of the snapshots; it is made if it is missing.
        steps: numbers of optimiser steps, ascending; 0 is before the first one.

    Raises:
        ConfigurationError: a number is negative, or they do not ascend.
    """

    def __init__(self, folder: str | Path, steps: Sequence[int]) -> None:
        self.folder = Path(folder)
        self.steps = ascending("snapshots", steps)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Say which snapshots there will not be, and write that of step 0."""
        start = trainer.global_step
        # Where a module steps by itself, Lightning knows the batches but not the steps.
        self._last = (
            trainer.estimated_stepping_batches if pl_module.automatic_optimization else math.inf
        )
        self._to_come = [step for step in self.steps if step >= start]
        self._say(
            [step for step in self.steps if step < start and not self._path(step).is_file()],
            f"this run goes on from step {start}, and they were not written before",
        )
        self._say(
            [step for step in self._to_come if step > self._last],
            f"training ends after {self._last} steps",
        )
        self._write(trainer, pl_module)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, *arguments: Any, **named: Any
    ) -> None:
        """Write a snapshot if one is due."""
        self._write(trainer, pl_module)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Say which snapshots there are not because training stopped early."""
        self._say(
            [step for step in self._to_come if step <= self._last],
            f"training has ended after {trainer.global_step} steps",
        )

    def _write(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self._to_come and self._to_come[0] <= trainer.global_step:
            check_weights(trainer, pl_module)  # Lightning asks no callback before it saves weights
        while self._to_come and self._to_come[0] <= trainer.global_step:
            # On every rank: the strategy decides who writes, and the others wait.
            trainer.save_checkpoint(self._path(self._to_come.pop(0)), weights_only=True)

    def _path(self, step: int) -> Path:
        return self.folder / f"step{step}.ckpt"

    @staticmethod
    def _say(missing: Sequence[int], why: str) -> None:
        if missing:
            rank_zero_info(f"no snapshot of step {', '.join(map(str, missing))}: {why}")
