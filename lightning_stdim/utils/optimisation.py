"""Checks of the arguments of an optimisation."""

from __future__ import annotations

from lightning_stdim.errors import ConfigurationError


def check_optimisation(*, lr: float, patience: int | None) -> None:
    """Check the learning rate and the patience of a model.

    Args:
        lr: learning rate, positive.
        patience: patience of early stopping, at least 1 epoch; None without early stopping.

    Raises:
        ConfigurationError: a value is out of its range.
    """
    if not lr > 0 or (patience is not None and patience < 1):
        raise ConfigurationError(
            f"model.lr={lr} must be positive and model.patience={patience} at least 1 epoch"
        )
