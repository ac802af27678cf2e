"""Policies that need no agent."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from lightning_stdim.datamodules.policies.types import MakePolicy, Observe, Policy

STICKINESS = 0.25
"""How likely ``sticky-random`` keeps its action, as in Machado et al. 2018 (arXiv 1709.06009)."""


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
    return lambda look, first: next(actions)


def sticky_random_policy(n_actions: int, rng: np.random.Generator) -> Policy:
    """Play at random, but keep an action for another step with probability :data:`STICKINESS`.

    Held actions reach states that independent ones seldom do. The repetition is the policy's own,
    and recorded as such: the emulator has no sticky actions.

    Args:
        n_actions: size n of the game's minimal action set; NOOP, action 0, is never played.
        rng: the game's generator.

    Returns:
        The policy.
    """
    last = 0

    def act(look: Observe, first: bool) -> int:
        nonlocal last
        if first or rng.random() >= STICKINESS:
            last = int(rng.integers(1, n_actions))
        return last

    return act


POLICIES: dict[str, MakePolicy] = {"random": random_policy, "sticky-random": sticky_random_policy}
