"""How long the steps of a training take: for ``benchmark --estimate``."""

from __future__ import annotations

import time
from typing import Any

import torch
from pytorch_lightning import Callback, LightningModule, Trainer

from lightning_stdim.utils import timings


class StepTimer(Callback):
    """Record how long the last epoch took: its training, its validation, and the rest of it.

    The last one, since the first also compiles, allocates and tries out algorithms. Seconds of
    training and validation are given per frame that the data module's samplers stand for, so that
    they can be multiplied by the frames of a longer run. The record is the part ``"fit"`` of
    :mod:`lightning_stdim.utils.timings`; if that is not told where to write, nothing is written.
    """

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock of an epoch that a resumed run is in the middle of."""
        self.on_train_epoch_start(trainer, pl_module)

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock."""
        self._seconds = {"training": 0.0, "validation": 0.0, "rest": 0.0}
        self._last = _now()

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Note when the training steps are over."""
        self._lap("training")

    def on_validation_batch_end(self, *arguments: Any, **named: Any) -> None:
        """Note when a validation step is over."""
        self._lap("validation")

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Note when the epoch is over."""
        self._lap("rest" if self._seconds["training"] else "training")  # without a validation

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Note when the last checkpoint is written, and record the epoch."""
        if not hasattr(self, "_last"):  # there was nothing to train
            return
        self._lap("rest")
        cuda = pl_module.device.type == "cuda"
        loaders = {"training": trainer.train_dataloader, "validation": trainer.val_dataloaders}
        batches = {
            "training": int(trainer.num_training_batches),
            "validation": int(sum(trainer.num_val_batches)),
        }
        per_frame = {
            part: self._seconds[part] / (batches[part] * _frames(loader))
            for part, loader in loaders.items()
            if batches[part]
        }
        timings.record(
            "fit",
            stage=getattr(getattr(trainer, "datamodule", None), "stage", "pretrain"),
            training=per_frame["training"],
            validation=per_frame.get("validation", 0.0),
            epoch=self._seconds["rest"],
            frames_per_step=_frames(loaders["training"]),
            parameters=sum(parameter.numel() for parameter in pl_module.parameters()),
            device=str(pl_module.device),
            device_memory=torch.cuda.max_memory_reserved(pl_module.device) if cuda else 0,
        )

    def _lap(self, part: str) -> None:
        now = _now()
        self._seconds[part] += now - self._last
        self._last = now


def _frames(loader: Any) -> int:
    """Give the frames that a batch stands for: an epoch has one in `stride` of them as anchors."""
    return int(loader.sampler.batch_size * getattr(loader.sampler, "stride", 1))


def _now() -> float:
    """Tell the time when a GPU has done what it was told to do."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.monotonic()
