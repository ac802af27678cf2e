"""Recording a game: the states as they are, of the frames only what changes.

From one row to the next a few hundred of a plane's 33 600 pixels change. Keeping those alone is
quicker than copying and compressing whole frames, and keeps a worker's memory small.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lightning_stdim.datamodules.screens import WORDS
from lightning_stdim.datamodules.states import Columns, States

if TYPE_CHECKING:  # frames are put together again where there is no emulator
    from lightning_stdim.datamodules.emulator import Emulator

PLANE = 210 * 160
"""Pixels of a plane."""


class Recorder:
    """Memory for one piece of a game.

    Args:
        size: the most rows of a piece, at least 1.
    """

    def __init__(self, size: int) -> None:
        self._states = States.empty(size)
        self._where: list[NDArray[np.intp]] = []
        self._words: list[NDArray[np.uint64]] = []

    def full(self) -> bool:
        """Tell whether there is no room for another row.

        Returns:
            Whether it is so.
        """
        return len(self._where) == len(self._states)

    def add(self, emulator: Emulator, action: int, reward: float) -> None:
        """Record a row.

        Args:
            emulator: shows the state.
            action: the action that led to it.
            reward: the reward for that action.
        """
        row, states = len(self._where), self._states
        states.ram[row] = emulator.ram
        states.actions[row] = action
        states.rewards[row] = reward
        states.lives[row] = emulator.lives
        states.terminated[row] = emulator.terminated
        states.truncated[row] = emulator.truncated
        # A piece's first frame is whole, so that a piece can be read by itself.
        where = emulator.changed if row else WORDS
        self._where.append(where)
        planes = emulator.frame.reshape(-1, PLANE).view(np.uint64)  # [C, 4200]
        self._words.append(planes.take(where, axis=1).ravel())

    def take(self) -> Columns:
        """Hand out what was recorded, and begin a new piece.

        Returns:
            The columns of :class:`~lightning_stdim.datamodules.states.States`, n rows each, and
            those that :func:`frames` needs: `changes` uint16 [n], how many words of eight pixels
            may have changed in each plane since the row before (all of them in row 0); `where`
            uint16 and `words` uint64, these words' positions, and their values in the first plane,
            then in the next, one row after the other.
        """
        columns = {
            **self._states[: len(self._where)].columns(),
            "changes": np.array([len(where) for where in self._where], np.uint16),
            "where": np.concatenate(self._where).astype(np.uint16),
            "words": np.concatenate(self._words),
        }
        self._where.clear()
        self._words.clear()
        return columns


def frames(columns: Columns, shape: tuple[int, ...]) -> Iterator[NDArray[np.uint8]]:
    """Put the frames of a piece together again, one after the other.

    Args:
        columns: what :meth:`Recorder.take` handed out.
        shape: of a frame, [210, 160] or [3, 210, 160].

    Yields:
        uint8, of that shape, overwritten by the next.
    """
    changes, where, words = (columns[name] for name in ("changes", "where", "words"))
    frame = np.zeros(shape, np.uint8)
    planes = frame.reshape(-1, PLANE).view(np.uint64)  # [C, 4200]
    end = 0
    for count in changes.tolist():
        start, end = end, end + count
        values = words[len(planes) * start : len(planes) * end]
        planes[:, where[start:end]] = values.reshape(len(planes), count)
        yield frame
