"""Callbacks that end training early: a loss that is not finite, or one that no longer improves."""

from __future__ import annotations

import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.callbacks import EarlyStopping

from lightning_stdim.errors import TrainingError


class RaiseOnNonFiniteLoss(Callback):
    """Raise an error at the end of an epoch whose loss is not finite.

    The check is made once per epoch because a check in every step would make the device wait. It
    is made before checkpoints are written, so that they all date from before the failure.
    """

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Check the epoch's losses.

        Args:
            trainer: the trainer, which has the logged ``train/loss`` and perhaps ``val/loss``.
            pl_module: the module that is trained.

        Raises:
            TrainingError: one of the losses is NaN or infinite.
        """
        for name in ("train/loss", "val/loss"):
            loss = trainer.callback_metrics.get(name)
            if loss is not None and not torch.isfinite(loss):
                lr = getattr(pl_module, "lr", None)
                raise TrainingError(
                    f"{name} became {loss.item()} in epoch {trainer.current_epoch}; checkpoints "
                    f"are from before it. Try a smaller learning rate than {lr}"
                )


class ResumableEarlyStopping(EarlyStopping):
    """Early stopping that still holds when a stopped run is resumed.

    Lightning's own early stopping trains for one more epoch then. A run without validation trains
    to its last epoch. :class:`RaiseOnNonFiniteLoss` takes care of values that are not finite.

    Args:
        monitor: name of the logged metric that should fall.
        patience: number of validations without improvement after which training stops.
    """

    def __init__(self, monitor: str, patience: int) -> None:
        super().__init__(monitor, patience=patience, check_finite=False, strict=False)

    @property
    def state_key(self) -> str:
        """The key of its state in checkpoints, with the class's former name for old ones."""
        return super().state_key.replace(type(self).__qualname__, "StopEarly", 1)

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Stop again a run that had been stopped."""
        trainer.should_stop = trainer.should_stop or self.wait_count >= self.patience
