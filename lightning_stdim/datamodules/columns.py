"""The columns of a collection that hold emulator states: everything but frames and labels.

They have a file of their own, so that the processes that play need not import the store.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

Columns = dict[str, NDArray[Any]]
"""Arrays by name, of equal length where they are rows of a collection."""


@dataclass(kw_only=True)
class States:
    """Successive emulator states, one array for each column of the store's schema."""

    ram: NDArray[np.uint8]
    actions: NDArray[np.uint8]
    rewards: NDArray[np.float32]
    lives: NDArray[np.int16]
    terminated: NDArray[np.bool_]
    truncated: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.ram)

    def __getitem__(self, rows: slice) -> States:
        return States(**{name: column[rows] for name, column in self.columns().items()})

    def columns(self) -> Columns:
        """List the columns.

        Returns:
            The arrays by name, without copying them.
        """
        return {name: getattr(self, name) for name in STATE_COLUMNS}

    def game_over(self) -> bool:
        """Tell whether a game ends with the last row: after a lost life lives would be left.

        Returns:
            True if it does. A game that the frame limit ends counts as one that was cut.
        """
        return bool(self.terminated[-1] and self.lives[-1] == 0)

    @classmethod
    def empty(cls, n: int) -> States:
        """Allocate rows.

        Args:
            n: number of rows.

        Returns:
            The rows, with undefined values.
        """
        return States(
            ram=np.empty((n, 128), np.uint8),
            actions=np.empty(n, np.uint8),
            rewards=np.empty(n, np.float32),
            lives=np.empty(n, np.int16),
            terminated=np.empty(n, np.bool_),
            truncated=np.empty(n, np.bool_),
        )


STATE_COLUMNS = tuple(column.name for column in fields(States))
