"""A printed line for every epoch of training."""

from __future__ import annotations

import time

from pytorch_lightning import Callback, LightningModule, Trainer


class PrintEpochSummary(Callback):
    """Print one line per epoch, for output that goes to a file, where progress bars are useless."""

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock of an epoch that a resumed run is in the middle of."""
        self.started = time.monotonic()

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock."""
        self.started = time.monotonic()

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Print the epoch's number, its duration and the logged means over variables."""
        if trainer.is_global_zero:
            seconds = time.monotonic() - self.started
            logged = trainer.callback_metrics.items()
            scores = ", ".join(f"{k} {v:.4g}" for k, v in logged if k.count("/") < 2)
            number = f"{trainer.current_epoch + 1} of at most {trainer.max_epochs}"
            print(f"epoch {number}, {seconds:.0f} s: {scores}", flush=True)
