"""Recording a game: all of every state, but of the screens only what changes.

From one row to the next a few hundred of a screen's 33 600 pixels change. Keeping only those is
faster than copying and compressing whole frames, and needs little memory in a worker. Screens are
turned into frames later, by the process that writes the file, for many rows at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lightning_stdim.datamodules.columns import Columns, States
from lightning_stdim.datamodules.emulator.palette import maximum
from lightning_stdim.datamodules.pixels import Pixels, frame_shape

if TYPE_CHECKING:  # frames are put together again where there is no emulator
    from lightning_stdim.datamodules.emulator.emulator import Emulator

PLANE = 210 * 160
"""Pixels of a screen, or of a plane of a frame."""
WORDS = PLANE // 8
"""Groups of eight pixels, which are compared and kept together."""
SCHEMA = 2
"""Version of what :meth:`Recorder.take` returns. A collection that was left unfinished with another
one starts over."""
BLOCK = 16
"""Number of rows that are processed at once: so few stay in the processor's cache."""


class Recorder:
    """Records a game segment by segment.

    Args:
        size: largest number of rows in a segment, at least 1.
    """

    def __init__(self, size: int) -> None:
        self._states = States.empty(size)
        self._rows = 0
        # Of the rows of a block, after those of the row before it.
        self._screens = np.zeros((1 + BLOCK, 2, WORDS), np.uint64)
        pixels = self._screens.view(np.uint8).reshape(-1, 2, 210, 160)
        self._places = [(one, other) for one, other in pixels]
        self._differs = np.empty((2, BLOCK, WORDS), np.bool_)  # of each screen
        self._compared = 0  # rows
        self._changes: list[NDArray[np.uint16]] = []  # each of a block
        self._where: list[NDArray[np.uint16]] = []
        self._words: list[NDArray[np.uint64]] = []

    def full(self) -> bool:
        """Tell whether the segment is full.

        Returns:
            True if there is no room for another row.
        """
        return self._rows == len(self._states)

    def add(self, emulator: Emulator, action: int, reward: float) -> None:
        """Record a row.

        Args:
            emulator: the emulator in the state to record, the same one at every call. It is told to
                write its next screens where they are recorded.
            action: the action that led to the state.
            reward: the reward for that action.
        """
        row, states = self._rows, self._states
        states.ram[row] = emulator.ram
        states.actions[row] = action
        states.rewards[row] = reward
        states.lives[row] = emulator.lives
        states.terminated[row] = emulator.terminated
        states.truncated[row] = emulator.truncated
        self._rows += 1
        waiting = self._rows - self._compared
        if emulator.screens is not self._places[waiting]:
            for kept, shown in zip(self._places[waiting], emulator.screens, strict=True):
                kept[...] = shown
        if waiting == BLOCK:
            self._compare()
            waiting = 0
        emulator.show_in(self._places[waiting + 1])

    def take(self) -> Columns:
        """Hand out the segment, and begin a new one.

        Returns:
            The columns of :class:`~lightning_stdim.datamodules.columns.States`, n rows each, which
            the next segment overwrites, and the columns that :func:`frames` needs: `changes`
            uint16 [n], for each row the number of words (eight pixels) in which either screen
            differs from the row before, all of them in row 0; `where` uint16 [m], the positions of
            these words, row by row; `words` uint64 [m, 2], their values in both screens.
        """
        if self._rows > self._compared:
            self._compare()
        columns = {
            **self._states[: self._rows].columns(),
            "changes": np.concatenate(self._changes),
            "where": np.concatenate(self._where),
            "words": np.concatenate(self._words),
        }
        self._rows = self._compared = 0
        for parts in (self._changes, self._where, self._words):
            parts.clear()
        return columns

    def _compare(self) -> None:
        """Keep the changes in the rows that have not been compared yet."""
        count = self._rows - self._compared
        now, before = self._screens[1 : 1 + count], self._screens[:count]  # [b, 2, WORDS]
        differs = self._differs[:, :count]
        np.not_equal(now.swapaxes(0, 1), before.swapaxes(0, 1), out=differs)
        either = np.logical_or(differs[0], differs[1], out=differs[0])  # [b, WORDS]
        if not self._compared:  # the first row keeps every word: a segment is read by itself
            either[0] = True
        row, word = np.divmod(either.reshape(-1).nonzero()[0], WORDS)
        self._changes.append(np.bincount(row, minlength=count).astype(np.uint16))
        self._where.append(word.astype(np.uint16))
        self._words.append(now[row, :, word])
        self._screens[0] = now[-1]
        self._compared = self._rows


def frames(columns: Columns, pixels: Pixels) -> Iterator[NDArray[np.uint8]]:
    """Restore the frames of a segment, one after the other.

    Args:
        columns: a segment, as :meth:`Recorder.take` returned it.
        pixels: what the frames' pixels are.

    Yields:
        uint8 [210, 160], or [3, 210, 160] in colour; overwritten by the next frame.
    """
    frame = np.zeros(frame_shape(pixels), np.uint8)
    planes = frame.reshape(-1, PLANE).view(np.uint64)  # [C, WORDS]
    ends = columns["changes"].cumsum(dtype=np.intp)
    first = 0
    for rows in np.split(ends, range(BLOCK, len(ends), BLOCK)):  # a few, or it takes much memory
        where = columns["where"][first : rows[-1]].astype(np.intp)  # [m]
        screens = columns["words"][first : rows[-1]].T.copy().view(np.uint8)  # [2, 8 m]
        pictures = maximum(screens[0], screens[1], pixels)  # [8 m], or [3, 8 m]
        values = pictures.reshape(len(planes), -1).view(np.uint64)  # [C, m]
        start = 0
        for end in (rows - first).tolist():
            planes[:, where[start:end]] = values[:, start:end]
            yield frame
            start = end
        first = int(rows[-1])
