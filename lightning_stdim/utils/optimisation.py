"""Checks of the settings of a training."""

from __future__ import annotations

from lightning_stdim.errors import ConfigurationError


def check_optimisation(*, lr: float, patience: int) -> None:
    """Refuse values with which nothing can be trained.

    Args:
        lr: a learning rate.
        patience: of early stopping, in epochs.

    Raises:
        ConfigurationError: a value is out of its range.
    """
    if not lr > 0 or patience < 1:
        raise ConfigurationError(
            f"model.lr={lr} must be positive and model.patience={patience} at least 1 epoch"
        )
