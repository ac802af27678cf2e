"""Early stopping that goes on where it was."""

from __future__ import annotations

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import EarlyStopping


class StopEarly(EarlyStopping):
    """Early stopping that a resumed run remembers: Lightning's trains one epoch more.

    A run without validation is allowed, and goes on to its last epoch. Values that are not finite
    are the business of :class:`FiniteLoss`.

    Args:
        monitor: the logged value that is to fall.
        patience: validations without a better value after which training stops.
    """

    def __init__(self, monitor: str, patience: int) -> None:
        super().__init__(monitor, patience=patience, check_finite=False, strict=False)

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Stop again what had been stopped."""
        trainer.should_stop = trainer.should_stop or self.wait_count >= self.patience
