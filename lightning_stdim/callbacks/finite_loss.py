"""An end to training that has become meaningless."""

from __future__ import annotations

import torch
from lightning import Callback, LightningModule, Trainer

from lightning_stdim.errors import TrainingError


class FiniteLoss(Callback):
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
