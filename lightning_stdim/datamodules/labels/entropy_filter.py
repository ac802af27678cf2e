"""The entropy filter: which variables vary enough to be scored."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lightning_stdim.errors import ConfigurationError

ENTROPY_THRESHOLD = 0.6
"""Smallest label entropy, in nats, of a variable that is scored (the paper, section 5)."""


def entropy(labels: NDArray[np.integer[Any]]) -> float:
    """Compute the entropy of a variable's labels, of their empirical distribution.

    Args:
        labels: integer [N], N at least 1.

    Returns:
        The entropy in nats: 0 for a constant, log k for k equally frequent values.

    Raises:
        ConfigurationError: there are no labels.
    """
    if labels.size == 0:
        raise ConfigurationError("the entropy of no labels is undefined: at least one is needed")
    p = np.unique(labels, return_counts=True)[1] / labels.size
    return float(-(p * np.log(p)).sum()) + 0.0  # + 0.0: a constant has 0.0, not -0.0


def scored(
    labels: NDArray[np.integer[Any]],
    variables: tuple[str, ...],
    threshold: float = ENTROPY_THRESHOLD,
) -> tuple[list[int], dict[str, str]]:
    """Separate the variables that vary enough to be scored from those that do not.

    Args:
        labels: integer [N, V], N at least 1.
        variables: names of the V variables.
        threshold: smallest entropy of a scored variable, in nats.

    Returns:
        The columns of the scored variables, ascending, and for each other variable the reason why
        it is not scored, in words.

    Raises:
        ConfigurationError: there are no labels.
    """
    kept: list[int] = []
    dropped: dict[str, str] = {}
    for column, name in enumerate(variables):
        nats = entropy(labels[:, column])
        if nats >= threshold:
            kept.append(column)
        else:
            dropped[name] = f"entropy {nats:.3f} nats is under {threshold:g}"
    return kept, dropped
