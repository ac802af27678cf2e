"""Callbacks that end training early: a loss that is not finite, or one that no longer improves."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.callbacks import EarlyStopping
from pytorch_lightning.trainer.states import TrainerFn

from lightning_stdim.errors import TrainingError


class RaiseOnNonFiniteLoss(Callback):
    """Raise an error when a loss, or a weight that is about to be saved, is not finite.

    A check in every step would make the device wait. So losses are checked after a validation and
    at the end of an epoch, and weights before every checkpoint: all checkpoints date from before
    the failure.
    """

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Check the validation's loss; see :meth:`on_train_epoch_end`."""
        if trainer.state.fn == TrainerFn.FITTING and not trainer.sanity_checking:
            self._check_losses(trainer, pl_module, ("val/loss",))

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Check the epoch's losses.

        Args:
            trainer: the trainer, which has the logged ``train/loss`` and perhaps ``val/loss``.
            pl_module: the module that is trained.

        Raises:
            TrainingError: one of the losses is NaN or infinite.
        """
        self._check_losses(trainer, pl_module, ("train/loss", "val/loss"))

    def on_save_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Check the weights before they are saved.

        Args:
            trainer: the trainer.
            pl_module: the module that is trained.
            checkpoint: what is to be saved.

        Raises:
            TrainingError: one of the weights is NaN or infinite.
        """
        check_weights(trainer, pl_module)

    @staticmethod
    def _check_losses(trainer: Trainer, pl_module: LightningModule, names: Iterable[str]) -> None:
        for name in names:
            loss = trainer.callback_metrics.get(name)
            if loss is not None and not torch.isfinite(loss):
                raise _diverged(f"{name} became {loss.item()}", trainer, pl_module)


def check_weights(trainer: Trainer, pl_module: LightningModule) -> None:
    """Check before a checkpoint is written that the weights are finite.

    Args:
        trainer: the trainer.
        pl_module: the module that is trained.

    Raises:
        TrainingError: one of the weights is NaN or infinite.
    """
    finite = [parameter.isfinite().all() for parameter in pl_module.parameters()]
    if finite and not torch.stack(finite).all():  # asks the device once
        raise _diverged("a weight is no longer a finite number", trainer, pl_module)


def _diverged(what: str, trainer: Trainer, module: LightningModule) -> TrainingError:
    return TrainingError(
        f"{what} in epoch {trainer.current_epoch}; checkpoints are from before it. Try a smaller "
        f"learning rate than {getattr(module, 'lr', None)}"
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
