"""Playing one game of a collection, which depends only on the collection's seed and its number.

A lost life ends an episode but not the game, so the episodes of a game depend on each other: the
game, not the episode, is what is seeded and given to a worker. A collection consists of the games
0, 1, 2, ... in this order, cut after the number of rows that was asked for. So episode k, too,
depends only on the seed and k, whichever worker plays it and when.
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
        emulator: the emulator to play on. Whenever something is yielded, it is in the state to
            record.
        policy: makes the game's policy.
        seed: the game's seed.

    Yields:
        The action that led to the emulator's state, and the reward for it: (0, 0.0) where an
        episode begins.
    """
    rng = np.random.default_rng(seed)
    # The dynamics have a stream of their own, so that they change no action of a random policy.
    emulator.new_game(noops=int(rng.integers(1, MAX_NOOPS + 1)), rng=rng.spawn(1)[0])
    choose = policy(emulator.n_actions, rng)

    def observe() -> NDArray[np.uint8]:
        return emulator.luma

    playing = True
    while playing:
        first = True
        yield 0, 0.0
        while not (emulator.terminated or emulator.truncated):
            action = choose(observe, first)
            first = False
            yield action, emulator.step(action)
        playing = emulator.next_episode()


def segments(
    emulator: Emulator, policy: MakePolicy, seed: int, *, limit: int, recorder: Recorder
) -> Iterator[tuple[Columns, bool]]:
    """Play a game and record it in segments, so that memory does not grow with its length.

    Args:
        emulator: the emulator to play on.
        policy: makes the game's policy.
        seed: the game's seed.
        limit: number of rows after which to stop, at least 1.
        recorder: records the segments, and determines their size.

    Yields:
        A segment of at least one row, as :meth:`Recorder.take` returns it, and whether the game
        ends with it. The next segment overwrites it.
    """
    for row, (action, reward) in enumerate(play(emulator, policy, seed), start=1):
        if recorder.full():
            yield recorder.take(), False
        recorder.add(emulator, action, reward)
        if row == limit:
            yield recorder.take(), False
            return
    yield recorder.take(), True
