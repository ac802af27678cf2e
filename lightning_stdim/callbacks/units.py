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
from typing import Protocol, cast, runtime_checkable

from lightning import LightningModule, Trainer
from lightning.pytorch.trainer.states import TrainerFn
from torch import nn

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
