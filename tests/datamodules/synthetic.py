"""Collections that no emulator made: their frames repeat, and games end where one wants."""

from __future__ import annotations

import numpy as np

from lightning_stdim.datamodules.labels.annotations import annotation, ram2label
from lightning_stdim.datamodules.store.collection import Collection


def make(
    games: list[list[int]],
    *,
    game: str = "pong",
    policy: str = "random",
    shape: tuple[int, ...] = (210, 160),
) -> Collection:
    """Collect games of given episode lengths; the last one is played to its end."""
    lengths = [length for episodes in games for length in episodes]
    n, ends = sum(lengths), np.cumsum(lengths) - 1
    rng = np.random.default_rng(n)
    screens = rng.integers(0, 256, (max(2, n // 2), *shape), dtype=np.uint8)
    ram = rng.integers(0, 256, (n, 128), dtype=np.uint8)
    ram[:, ::3] //= 100  # some variables vary little
    ram[:, ::7] = 5
    lives, terminated = np.ones(n, np.int16), np.zeros(n, bool)
    terminated[ends] = True
    lives[ends[np.cumsum([len(episodes) for episodes in games]) - 1]] = 0
    rewards = rng.integers(-3, 4, n).astype(np.float32)
    rewards[ends - np.array(lengths) + 1] = 0
    return Collection(
        frames=screens[rng.integers(0, len(screens), n)],
        ram=ram,
        labels=ram2label(game, ram).astype(np.uint8),
        actions=rng.integers(0, 6, n, dtype=np.uint8),
        rewards=rewards,
        lives=lives,
        terminated=terminated,
        truncated=np.zeros(n, bool),
        episode_start=np.cumsum([0, *lengths[:-1]]),
        episode_length=np.array(lengths),
        episode_seed=np.repeat(2**62 + np.arange(len(games)), [len(part) for part in games]),
        variables=annotation(game).variables,
        attributes={
            "command": "python -m tests",
            "game": game,
            "policy": policy,
            "seed": 3,
            "actions": "NOOP FIRE RIGHT LEFT RIGHTFIRE LEFTFIRE",
            "on": True,
            "p": 0.25,
        },
    )
