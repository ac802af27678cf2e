"""A learning rate for each variable, lowered when its score no longer improves."""

from __future__ import annotations

from typing import Any

from lightning import Callback, LightningModule, Trainer

from lightning_stdim.callbacks.units import learns, scored_epoch, with_units
from lightning_stdim.errors import ConfigurationError


class PerVariableReduceLROnPlateau(Callback):
    """Lower each unit's learning rate when its validation score has stopped improving.

    The rule is that of ``torch.optim.lr_scheduler.ReduceLROnPlateau`` with ``mode="max"`` and its
    other defaults: an epoch improves if its score exceeds the best one by the factor 1.0001; after
    more than ``patience`` epochs in a row without improvement the rate is multiplied by ``factor``.

    What a unit is, and what the LightningModule has to provide: ``callbacks/units.py``.

    Source: Anand et al. 2019 (arXiv 1906.08226), probe; the defaults are the reference
    implementation's.

    Args:
        patience: epochs without improvement that are tolerated.
        factor: multiplies the learning rate, between 0 and 1.
        min_lr: the learning rate is not lowered further.

    Attributes:
        best_score: for each unit its best score so far.
        bad_epochs: for each unit the epochs without improvement since then, or since its learning
            rate was lowered.

    Raises:
        ConfigurationError: if an argument is out of its range.
    """

    threshold = 1e-4
    """Relative improvement that counts; PyTorch's default."""

    def __init__(self, *, patience: int = 5, factor: float = 0.2, min_lr: float = 1e-5) -> None:
        if patience < 0 or not 0 < factor < 1 or min_lr < 0:
            raise ConfigurationError(
                f"patience={patience} and min_lr={min_lr} must be at least 0, and factor={factor} "
                "between 0 and 1"
            )
        self.patience = patience
        self.factor = factor
        self.min_lr = min_lr
        self.best_score: dict[str, float] = {}
        self.bad_epochs: dict[str, int] = {}

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Compare each unit's score with its best."""
        if not scored_epoch(trainer):
            return
        module = with_units(pl_module)
        groups = {
            group.get("name"): group
            for optimizer in trainer.optimizers
            for group in optimizer.param_groups
        }
        for name, unit in module.units.items():
            if not learns(unit):
                continue
            score = module.unit_scores[name]
            best = self.best_score.get(name, -float("inf"))
            if score > best * (1 + self.threshold):
                self.best_score[name] = score
                self.bad_epochs[name] = 0
            else:
                self.bad_epochs[name] = self.bad_epochs.get(name, 0) + 1
            if self.bad_epochs[name] > self.patience:
                group = groups[name]
                group["lr"] = max(group["lr"] * self.factor, min(self.min_lr, group["lr"]))
                self.bad_epochs[name] = 0

    def state_dict(self) -> dict[str, Any]:
        """Give plain values, for checkpoints; the learning rates are in the optimiser's state."""
        return {"best_score": dict(self.best_score), "bad_epochs": dict(self.bad_epochs)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        self.best_score = dict(state_dict["best_score"])
        self.bad_epochs = dict(state_dict["bad_epochs"])
