"""Early stopping and learning-rate schedule per variable.

Both callbacks act on *units*. A unit is a part of the network that is scored, slowed down, stopped
and restored as a whole: one head of a frozen probe, one encoder with its head, or a whole network
that all variables share. The LightningModule must provide:

* ``units``: for each unit's name the ``nn.Module`` that holds its parameters and buffers;
* ``unit_scores``: for each unit's name its score in the latest validation epoch (higher is better),
  set in ``on_validation_epoch_end`` at the latest;
* one or more optimisers, whose parameter groups have the name of their unit as ``"name"``.

The parameters of a stopped unit do not require a gradient. The module leaves the unit out of its
training and validation steps, and may leave it out of ``unit_scores``.
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
    """A LightningModule with units, which ``callbacks/units.py`` explains."""

    @property
    def units(self) -> Mapping[str, nn.Module]:
        """The units by name."""

    @property
    def unit_scores(self) -> Mapping[str, float]:
        """The latest validation score of each unit that is still trained."""


def with_units(module: LightningModule) -> HasUnits:
    """Check that a module has units.

    Args:
        module: the module that is trained.

    Returns:
        The same module.

    Raises:
        ConfigurationError: the module has no units.
    """
    if not isinstance(module, HasUnits):
        raise ConfigurationError(
            f"{type(module).__name__} has no `units` and `unit_scores`, which the per-variable "
            "callbacks read; use Lightning's own callbacks with it"
        )
    return cast(HasUnits, module)


def is_trained(unit: nn.Module) -> bool:
    """Tell whether a unit is still trained, or has been stopped.

    Args:
        unit: one of the module's units.

    Returns:
        True if any of the unit's parameters requires a gradient.
    """
    return any(parameter.requires_grad for parameter in unit.parameters())


def scored_epoch(trainer: Trainer) -> bool:
    """Tell whether the current validation belongs to an epoch of training.

    Args:
        trainer: the trainer that validates.

    Returns:
        False during ``trainer.validate`` and during the sanity check before training.
    """
    return trainer.state.fn == TrainerFn.FITTING and not trainer.sanity_checking


class PerVariableReduceLROnPlateau(Callback):
    """Lower the learning rate of each unit whose validation score has stopped improving.

    The rule is that of ``torch.optim.lr_scheduler.ReduceLROnPlateau`` with ``mode="max"`` and its
    other defaults. A score is an improvement if it exceeds 1.0001 times the best one. After more
    than ``patience`` epochs in a row without improvement, the unit's learning rate is multiplied
    by ``factor``.

    ``callbacks/units.py`` explains units and what the LightningModule must provide.

    Source: Anand et al. 2019 (arXiv 1906.08226), probe; the defaults are the reference
    implementation's.

    Args:
        patience: number of epochs without improvement that are tolerated, 0 or more.
        factor: factor that multiplies the learning rate, between 0 and 1.
        min_lr: lower bound of the learning rate, 0 or more.

    Attributes:
        best_score: each unit's best score so far.
        bad_epochs: each unit's number of epochs since its best score, or since its learning rate
            was lowered.

    Raises:
        ConfigurationError: an argument is out of its range.
    """

    threshold = 1e-4
    """The relative improvement that counts; PyTorch's default."""

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
        """Lower the learning rate of the units that have not improved for long enough."""
        if not scored_epoch(trainer):
            return
        module = with_units(pl_module)
        groups = [group for optimizer in trainer.optimizers for group in optimizer.param_groups]
        for name, unit in module.units.items():
            if not is_trained(unit):
                continue
            score = module.unit_scores[name]
            best = self.best_score.get(name, -float("inf"))
            if score > best * (1 + self.threshold):
                self.best_score[name] = score
                self.bad_epochs[name] = 0
            else:
                self.bad_epochs[name] = self.bad_epochs.get(name, 0) + 1
            if self.bad_epochs[name] > self.patience:
                for group in groups:
                    if group.get("name") == name:
                        group["lr"] = max(group["lr"] * self.factor, min(self.min_lr, group["lr"]))
                self.bad_epochs[name] = 0

    def state_dict(self) -> dict[str, Any]:
        """Return plain values for checkpoints; the optimiser's state has the learning rates."""
        return {"best_score": dict(self.best_score), "bad_epochs": dict(self.bad_epochs)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the scores and counts from a checkpoint."""
        self.best_score = dict(state_dict["best_score"])
        self.bad_epochs = dict(state_dict["bad_epochs"])


class PerVariableEarlyStopping(Callback):
    """Stop each unit when its validation score has not improved for some epochs.

    The parameters of a stopped unit no longer require a gradient, so it is no longer trained. The
    trainer stops when all units have stopped. At the end of training every unit gets the weights
    of its best epoch (the first of several equally good ones), and all parameters require a
    gradient again.

    ``callbacks/units.py`` explains units and what the LightningModule must provide.

    Source: Anand et al. 2019 (arXiv 1906.08226), probe with patience 15 on validation accuracy.
    The reference implementation scores the last weights instead, as ``restore="last"`` does.

    Args:
        patience: number of epochs without improvement after which a unit stops, at least 1.
        restore: the weights that each unit ends with: those of its best epoch, ``"best"``, or of
            its last one, ``"last"``.

    Attributes:
        best_score: each unit's best score so far.
        best_epoch: the epoch of each unit's best score, counted from 0.
        stopped_epoch: the last epoch of each unit that has stopped, counted from 0.
        best_weights: the weights of each unit's best epoch; empty with ``restore="last"``.

    Raises:
        ConfigurationError: ``patience`` is less than 1.
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
        """Freeze the units that had stopped before a run was resumed."""
        units = with_units(pl_module).units
        for name in self.stopped_epoch:
            _freeze(units[name])
        if not any(map(is_trained, units.values())):
            trainer.should_stop = True

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Keep the weights of units with a new best score, and stop units without one for long."""
        if not scored_epoch(trainer):
            return
        module = with_units(pl_module)
        for name, unit in module.units.items():
            if not is_trained(unit):
                continue
            score = module.unit_scores[name]
            # The first epoch counts whatever its score, so that a unit with NaN stops too.
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
        if not any(map(is_trained, module.units.values())):
            trainer.should_stop = True

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Restore each unit's best weights, even if a resumed run had nothing left to train."""
        units = with_units(pl_module).units
        for name, weights in self.best_weights.items():
            units[name].load_state_dict(weights)
        for name in self.stopped_epoch:
            units[name].requires_grad_(True)

    def state_dict(self) -> dict[str, Any]:
        """Return plain values and tensors for checkpoints."""
        return {
            "best_score": dict(self.best_score),
            "best_epoch": dict(self.best_epoch),
            "stopped_epoch": dict(self.stopped_epoch),
            "best_weights": {name: dict(weights) for name, weights in self.best_weights.items()},
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the scores, epochs and best weights from a checkpoint."""
        self.best_score = dict(state_dict["best_score"])
        self.best_epoch = dict(state_dict["best_epoch"])
        self.stopped_epoch = dict(state_dict["stopped_epoch"])
        self.best_weights = dict(state_dict["best_weights"])


def _freeze(unit: nn.Module) -> None:
    unit.requires_grad_(False)
    for parameter in unit.parameters():
        parameter.grad = None  # optimisers skip parameters without a gradient
