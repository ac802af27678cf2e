"""How training goes, for whoever reads a log."""

from __future__ import annotations

import time

from lightning import Callback, LightningModule, Trainer


class EpochLines(Callback):
    """Print a line on every epoch: for logs, in which a progress bar leaves nothing."""

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock."""
        self.started = time.monotonic()

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Print the epoch's number, its time and everything that was logged."""
        if trainer.is_global_zero:
            seconds = time.monotonic() - self.started
            scores = ", ".join(f"{k} {v:.4g}" for k, v in trainer.callback_metrics.items())
            number = f"{trainer.current_epoch + 1} of at most {trainer.max_epochs}"
            print(f"epoch {number}, {seconds:.0f} s: {scores}", flush=True)
