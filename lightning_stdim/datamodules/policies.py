"""Who plays while frames are collected.

A policy is built once per game from that game's random generator, so that what it does depends on
the game's seed alone. A new policy is one more entry of :data:`POLICIES`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from lightning_stdim.errors import ConfigurationError

Policy = Callable[[NDArray[np.uint8]], int]
"""Takes the current frame (uint8 [210, 160]), returns an index into the minimal action set."""


def random_policy(n_actions: int, rng: np.random.Generator) -> Policy:
    """Play uniformly at random, but never NOOP.

    The protocol's random agent: uniform over 1 to n - 1, as in the reference implementation.

    Args:
        n_actions: size n of the game's minimal action set; action 0 is NOOP.
        rng: the game's generator.

    Returns:
        The policy.
    """

    def draws() -> Iterator[int]:
        while True:  # many at once: the numbers are the same as one by one, in a tenth of the time
            yield from rng.integers(1, n_actions, 1024).tolist()

    actions = draws()
    return lambda frame: next(actions)


POLICIES: dict[str, Callable[[int, np.random.Generator], Policy]] = {"random": random_policy}


def check_policy(name: str) -> None:
    """Refuse a policy that does not exist.

    Args:
        name: a key of :data:`POLICIES`.

    Raises:
        ConfigurationError: it is not one.
    """
    if name not in POLICIES:
        raise ConfigurationError(f"policy {name!r} is unknown: choose one of {', '.join(POLICIES)}")
