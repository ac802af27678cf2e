"""Early stopping for each variable on its own."""

from __future__ import annotations

from typing import Any, Literal

from lightning import Callback, LightningModule, Trainer
from torch import Tensor, nn

from lightning_stdim.callbacks.units import learns, scored_epoch, with_units
from lightning_stdim.errors import ConfigurationError


class PerVariableEarlyStopping(Callback):
    """Stop each unit when its validation score has not improved for some epochs.

    A stopped unit's parameters no longer require a gradient, which takes it out of the training.
    When all have stopped, so does the trainer. At the end every unit gets the weights of its best
    epoch (the first, if several are equally good); all parameters require a gradient again.

    What a unit is, and what the LightningModule has to provide: ``callbacks/units.py``.

    Source: Anand et al. 2019 (arXiv 1906.08226), probe with patience 15 on validation accuracy.
    Restoring the best weights is where this departs from the reference implementation, which
    scores the last ones; ``restore="last"`` is its way.

    Args:
        patience: epochs without improvement after which a unit stops.
        restore: which weights each unit ends with.

    Attributes:
        best_score: for each unit its best score so far.
        best_epoch: for each unit the epoch of that score, counted from 0.
        stopped_epoch: for each stopped unit the epoch after which it stopped.

    Raises:
        ConfigurationError: if ``patience`` is under 1.
    """

    def __init__(self, *, patience: int = 15, restore: Literal["best", "last"] = "best") -> None:
        if patience < 1:
            raise ConfigurationError(f"patience={patience} must be at least 1 epoch")
        self.patience = patience
        self.restore = restore
        self.best_score: dict[str, float] = {}
        self.best_epoch: dict[str, int] = {}
        self.stopped_epoch: dict[str, int] = {}
        self.best_weights: dict[str, dict[str, Tensor]] = {}

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Freeze what a resumed run had stopped already."""
        units = with_units(pl_module).units
        for name in self.stopped_epoch:
            _freeze(units[name])
        if not any(map(learns, units.values())):
            trainer.should_stop = True

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Compare each unit's score with its best."""
        if not scored_epoch(trainer):
            return
        module = with_units(pl_module)
        for name, unit in module.units.items():
            if not learns(unit):
                continue
            score = module.unit_scores[name]
            # The first epoch counts whatever its score, so that NaN ends in stopping as well.
            if name not in self.best_score or score > self.best_score[name]:
                self.best_score[name] = score
                self.best_epoch[name] = trainer.current_epoch
                if self.restore == "best":
                    self.best_weights[name] = {
                        key: value.detach().clone() for key, value in unit.state_dict().items()
                    }
            elif trainer.current_epoch - self.best_epoch[name] >= self.patience:
                self.stopped_epoch[name] = trainer.current_epoch
                _freeze(unit)
        if not any(map(learns, module.units.values())):
            trainer.should_stop = True

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Give every unit its best weights, also where a resumed run had nothing left to do."""
        units = with_units(pl_module).units
        for name, weights in self.best_weights.items():
            units[name].load_state_dict(weights)
        for name in self.stopped_epoch:
            units[name].requires_grad_(True)

    def state_dict(self) -> dict[str, Any]:
        """Give plain values and tensors, for checkpoints."""
        return {
            "best_score": dict(self.best_score),
            "best_epoch": dict(self.best_epoch),
            "stopped_epoch": dict(self.stopped_epoch),
            "best_weights": {name: dict(weights) for name, weights in self.best_weights.items()},
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        self.best_score = dict(state_dict["best_score"])
        self.best_epoch = dict(state_dict["best_epoch"])
        self.stopped_epoch = dict(state_dict["stopped_epoch"])
        self.best_weights = dict(state_dict["best_weights"])


def _freeze(unit: nn.Module) -> None:
    unit.requires_grad_(False)
    for parameter in unit.parameters():
        parameter.grad = None  # optimisers skip parameters without a gradient
