"""Reasons to end training before its last epoch."""

from __future__ import annotations

import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.callbacks import EarlyStopping

from lightning_stdim.errors import TrainingError


class RaiseOnNonFiniteLoss(Callback):
    """Ends training, with an error, when an epoch's loss is not finite.

    Checked once an epoch, before checkpoints are written: a check in every step would have the
    device wait, and the checkpoints stay those from before.
    """

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Look at the epoch's losses.

        Args:
            trainer: of the run.
            pl_module: the module that logs ``train/loss`` and perhaps ``val/loss``.

        Raises:
            TrainingError: one of them is NaN or infinite.
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
    """Early stopping that a resumed run remembers: Lightning's trains one epoch more.

    A run without validation is allowed, and goes on to its last epoch. Values that are not finite
    are the business of :class:`RaiseOnNonFiniteLoss`.

    Args:
        monitor: the logged value that is to fall.
        patience: validations without a better value after which training stops.
    """

    def __init__(self, monitor: str, patience: int) -> None:
        super().__init__(monitor, patience=patience, check_finite=False, strict=False)

    @property
    def state_key(self) -> str:
        """Its key in checkpoints; by the class's first name, so that old ones go on."""
        return super().state_key.replace(type(self).__qualname__, "StopEarly", 1)

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Stop again what had been stopped."""
        trainer.should_stop = trainer.should_stop or self.wait_count >= self.patience
