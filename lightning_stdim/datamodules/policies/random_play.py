"""Policies that need no agent."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from lightning_stdim.datamodules.policies.types import MakePolicy, Observe, Policy

STICKINESS = 0.25
"""Probability that ``sticky-random`` keeps its action (Machado et al. 2018, arXiv 1709.06009)."""


def random_policy(n_actions: int, rng: np.random.Generator) -> Policy:
    """Play uniformly random actions, but never NOOP.

    This is the paper's random agent: uniform over 1 to n - 1, as in the reference implementation.

    Args:
        n_actions: size n of the game's minimal action set; action 0 is NOOP.
        rng: the game's generator.

    Returns:
        The policy.
    """

    def draws() -> Iterator[int]:
        while True:  # drawing many at once gives the same numbers in a tenth of the time
            yield from rng.integers(1, n_actions, 1024).tolist()

    actions = draws()
    return lambda observe, first: next(actions)


def sticky_random_policy(n_actions: int, rng: np.random.Generator) -> Policy:
    """Play randomly, but keep an action for another step with probability :data:`STICKINESS`.

    Repeated actions reach states that independent ones seldom do. The policy repeats them itself,
    and they are recorded as its own: the emulator has no sticky actions.

    Args:
        n_actions: size n of the game's minimal action set; NOOP, action 0, is never played.
        rng: the game's generator.

    Returns:
        The policy.
    """
    last = 0

    def act(observe: Observe, first: bool) -> int:
        nonlocal last
        if first or rng.random() >= STICKINESS:
            last = int(rng.integers(1, n_actions))
        return last

    return act


POLICIES: dict[str, MakePolicy] = {"random": random_policy, "sticky-random": sticky_random_policy}
