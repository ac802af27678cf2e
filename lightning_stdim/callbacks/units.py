"""What a LightningModule exposes to the per-variable callbacks.

A *unit* is what is scored, slowed down, stopped and restored together: one head of a frozen
probe, one encoder with its head, or a whole network that all variables share. The agreement is
that the LightningModule has

* ``units``: by name, the ``nn.Module`` that holds the unit's parameters and buffers;
* ``unit_scores``: by name, the unit's score of the latest validation epoch (higher is better),
  set in ``on_validation_epoch_end`` at the latest;
* an optimiser with one parameter group per unit, whose ``"name"`` is the unit's.

A unit is stopped when its parameters no longer require a gradient. The module then leaves it out
of its training and validation steps and may leave it out of ``unit_scores``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, Protocol, cast, runtime_checkable

from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.trainer.states import TrainerFn
from torch import Tensor, nn

from lightning_stdim.errors import ConfigurationError


@runtime_checkable
class HasUnits(Protocol):
    """A LightningModule with units; see the module's text."""

    @property
    def units(self) -> Mapping[str, nn.Module]:
        """The units by name."""

    @property
    def unit_scores(self) -> Mapping[str, float]:
        """The latest validation score of each unit that still learns."""


def with_units(module: LightningModule) -> HasUnits:
    """Check that a module keeps the agreement.

    Args:
        module: what is trained.

    Returns:
        The same module.

    Raises:
        ConfigurationError: if it has no units.
    """
    if not isinstance(module, HasUnits):
        raise ConfigurationError(
            f"{type(module).__name__} has no `units` and `unit_scores`, which the per-variable "
            "callbacks read; use Lightning's own callbacks with it"
        )
    return cast(HasUnits, module)


def learns(unit: nn.Module) -> bool:
    """Tell whether a unit is still being trained.

    Args:
        unit: one of the module's units.

    Returns:
        True if any of its parameters requires a gradient.
    """
    return any(parameter.requires_grad for parameter in unit.parameters())


def scored_epoch(trainer: Trainer) -> bool:
    """Tell whether the validation that just ended closes an epoch of training.

    Args:
        trainer: whose validation ended.

    Returns:
        False for ``trainer.validate`` and for the sanity check before training.
    """
    return trainer.state.fn == TrainerFn.FITTING and not trainer.sanity_checking


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
