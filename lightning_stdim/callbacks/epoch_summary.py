"""A printed line for every epoch of training."""

from __future__ import annotations

import sys
import time

from pytorch_lightning import Callback, LightningModule, Trainer


class PrintEpochSummary(Callback):
    """Print one line per epoch: above a progress bar, which shows no losses, or into a file."""

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
            line = f"epoch {number}, {seconds:.0f} s: {scores}"
            bar = trainer.progress_bar_callback
            if bar is not None and sys.stdout.isatty():
                bar.print(line)  # so that the bar is not torn apart
            else:
                print(line, flush=True)
