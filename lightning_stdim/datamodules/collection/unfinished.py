"""The folder of an unfinished collection: the segments that were played, and what is missing.

A segment is a file named ``GAME-START-ROWS.npz.zst``, or ``GAME-START-ROWS-end.npz.zst`` if the
game ends with it; START is the number of the segment's first row within its game. The file appears
by a rename when it is complete. The names are all that is known about the collection's progress, so
a kill cannot leave a wrong state behind.
"""

from __future__ import annotations

import json
import re
import shutil
from collections import defaultdict
from collections.abc import Collection as Set
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

from lightning_stdim.datamodules.collection import segment_file
from lightning_stdim.errors import StoreError

_NAME = re.compile(r"(\d+)-(\d+)-(\d+)(-end)?\.npz\.zst")


class Segment(NamedTuple):
    """A segment's place in its game, and its file."""

    start: int
    rows: int
    path: Path


def segment_name(game: int, start: int, rows: int, ended: bool) -> str:
    """Name the file of a segment.

    Args:
        game: number of the game.
        start: number of the segment's first row within the game.
        rows: number of rows.
        ended: whether the game ends with the segment.

    Returns:
        The file's name.
    """
    return f"{game:06d}-{start:06d}-{rows}{'-end' if ended else ''}.npz.zst"


def has_segments(folder: Path) -> bool:
    """Tell whether a folder holds any segment.

    Args:
        folder: folder of an unfinished collection; it may be missing.

    Returns:
        True if there is something to go on with.
    """
    return any(_NAME.fullmatch(path.name) for path in folder.glob("*.zst"))


class UnfinishedCollection:
    """The part of a collection that has been played so far.

    Args:
        folder: folder of the segments. It is made if it is missing, and emptied if what it holds
            was played with other settings.
        settings: everything that the segments depend on, as plain data.

    Raises:
        StoreError: the folder cannot be made or written.
    """

    def __init__(self, folder: Path, settings: dict[str, Any]) -> None:
        self.folder = folder
        self._segments: defaultdict[int, list[Segment]] = defaultdict(list)
        self._ended: set[int] = set()
        # Running sums: there can be thousands of games, and the sums are needed at every segment.
        self._total = 0
        self._open, self._before = 0, 0  # the first game that has not ended; rows of those before
        wanted = json.dumps(settings, indent=1)
        note = folder / "settings.json"
        try:
            if not note.exists() or note.read_text("utf-8") != wanted:
                shutil.rmtree(folder, ignore_errors=True)
                folder.mkdir(parents=True)
                note.write_text(wanted, "utf-8")
        except OSError as error:
            raise StoreError(f"{folder} cannot be written: {error.strerror}") from None
        self._take_stock()

    def _take_stock(self) -> None:
        """Find the segments of earlier runs; remove those that are damaged or follow a gap."""
        for path in sorted(self.folder.iterdir()):
            if path.name == "settings.json":
                continue
            name = _NAME.fullmatch(path.name)
            try:
                if name is None or int(name[2]) != self.rows(int(name[1])):
                    raise StoreError("a temporary file, or a segment after a gap")
                segment_file.read(path)
            except StoreError:
                path.unlink()
            else:
                self.add(int(name[1]), int(name[2]), int(name[3]), bool(name[4]))

    def add(self, game: int, start: int, rows: int, ended: bool) -> None:
        """Take note of a segment whose file is there.

        Args:
            game: number of the game.
            start: number of the segment's first row within the game; all rows before it are there.
            rows: number of rows.
            ended: whether the game ends with the segment.
        """
        segment = Segment(start, rows, self.folder / segment_name(game, start, rows, ended))
        segments = self._segments[game]
        self._total -= self.rows(game)
        if segment not in segments:  # if it is, an interrupted game was played again
            segments[:] = [*(earlier for earlier in segments if earlier.start < start), segment]
        self._total += self.rows(game)
        if ended:
            self._ended.add(game)
        while self._open in self._ended:
            self._before += self.rows(self._open)
            self._open += 1

    def rows(self, game: int) -> int:
        """Count the rows of a game that are there.

        Args:
            game: number of the game.

        Returns:
            The number of rows.
        """
        return sum(segment.rows for segment in self._segments[game])

    def total(self) -> int:
        """Count the rows of all games that are there.

        Returns:
            The number of rows.
        """
        return self._total

    def reached(self) -> int:
        """Count the rows from the collection's beginning to the first gap.

        Returns:
            The number of rows.
        """
        return self._before + self.rows(self._open)

    def next_game(self, steps: int, running: Set[int]) -> tuple[int, int] | None:
        """Choose what to play next.

        Args:
            steps: number of rows that the collection is to have.
            running: numbers of the games that are being played. They count with the rows that are
                there so far.

        Returns:
            A game's number and the largest number of its rows that can be needed; None if all that
            is needed is there or being played.
        """
        needed = steps - self._before
        for game in count(self._open):
            if needed <= 0:
                return None
            there = self.rows(game)
            if game not in running and game not in self._ended and there < needed:
                return game, needed
            needed -= there
        raise AssertionError("unreachable")

    def in_order(self) -> Iterator[tuple[int, Path] | None]:
        """Go through the segments from the collection's beginning, for ever.

        Yields:
            A game's number and a segment's file; None while the next segment is not there.
        """
        for game in count():
            passed = 0
            while passed < len(self._segments[game]) or game not in self._ended:
                if passed == len(self._segments[game]):
                    yield None
                else:
                    yield game, self._segments[game][passed].path
                    passed += 1
