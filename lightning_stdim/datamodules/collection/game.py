"""One numbered game of a collection, which depends on the collection's seed and its number alone.

A lost life ends an episode but not the game, so the episodes of a game depend on each other: the
game, not the episode, is the unit that is seeded and handed to a worker. A collection is the games
0, 1, 2, ... one after the other, cut after as many rows as were asked for. So episode k depends on
the seed and k too, whoever plays what when.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from lightning_stdim.datamodules.collection.recorder import Recorder
from lightning_stdim.datamodules.columns import Columns
from lightning_stdim.datamodules.emulator.emulator import MAX_NOOPS, Emulator
from lightning_stdim.datamodules.policies.types import MakePolicy


def play(emulator: Emulator, policy: MakePolicy, seed: int) -> Iterator[tuple[int, float]]:
    """Play a game to its end.

    Args:
        emulator: shows the state of the moment whenever one is yielded.
        policy: makes the game's policy.
        seed: the game's seed.

    Yields:
        The action that led to this moment and the reward for it: (0, 0.0) when an episode begins.
    """
    rng = np.random.default_rng(seed)
    emulator.new_game(noops=int(rng.integers(1, MAX_NOOPS + 1)))
    choose = policy(emulator.n_actions, rng)

    def look() -> NDArray[np.uint8]:
        return emulator.luma

    playing = True
    while playing:
        first = True
        yield 0, 0.0
        while not (emulator.terminated or emulator.truncated):
            action = choose(look, first)
            first = False
            yield action, emulator.step(action)
        playing = emulator.next_episode()


def segments(
    emulator: Emulator, policy: MakePolicy, seed: int, *, limit: int, recorder: Recorder
) -> Iterator[tuple[Columns, bool]]:
    """Play a game and record it segment by segment, so that memory does not grow with its length.

    Args:
        emulator: the machine to play on.
        policy: makes the game's policy.
        seed: the game's seed.
        limit: stop after this many rows, at least 1.
        recorder: what to record with; its size is a segment's.

    Yields:
        What :meth:`Recorder.take` hands out, of at least one row, and whether the game ends with
        it. The next segment overwrites it.
    """
    for row, (action, reward) in enumerate(play(emulator, policy, seed), start=1):
        if recorder.full():
            yield recorder.take(), False
        recorder.add(emulator, action, reward)
        if row == limit:
            yield recorder.take(), False
            return
    yield recorder.take(), True
