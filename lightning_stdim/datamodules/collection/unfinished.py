"""The folder of an unfinished collection: segments of games, and which of them are still needed.

A segment is a file of its own, named ``GAME-START-ROWS.npz.zst``, or
``GAME-START-ROWS-end.npz.zst`` where the game ends with it; START is the segment's first row in its
game. It appears by a rename when it is complete. All that is known about the collection's progress
is in these names, so there is no state that a kill could leave wrong.
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
        game: the game's number.
        start: the segment's first row in the game.
        rows: how many rows it has.
        ended: whether the game ends with it.

    Returns:
        The file's name.
    """
    return f"{game:06d}-{start:06d}-{rows}{'-end' if ended else ''}.npz.zst"


def has_segments(folder: Path) -> bool:
    """Tell whether there is anything to go on with.

    Args:
        folder: of an unfinished collection; it may be missing.

    Returns:
        Whether it is so.
    """
    return any(_NAME.fullmatch(path.name) for path in folder.glob("*.zst"))


class UnfinishedCollection:
    """What has been played so far of one collection.

    Args:
        folder: where the segments are; made if it is missing, emptied if what is there was played
            under other settings.
        settings: everything that the segments depend on, as plain data.

    Raises:
        StoreError: the folder cannot be made or written.
    """

    def __init__(self, folder: Path, settings: dict[str, Any]) -> None:
        self.folder = folder
        self._segments: defaultdict[int, list[Segment]] = defaultdict(list)
        self._ended: set[int] = set()
        # Sums that are kept, as there can be thousands of games and each segment asks for them.
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
        """Find the segments of earlier runs; remove what is damaged or follows on a gap."""
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
            game: the game's number.
            start: the segment's first row in the game; every row before it is there.
            rows: how many rows it has.
            ended: whether the game ends with it.
        """
        segment = Segment(start, rows, self.folder / segment_name(game, start, rows, ended))
        segments = self._segments[game]
        self._total -= self.rows(game)
        if segment not in segments:  # it is where an interrupted game is played again
            segments[:] = [*(earlier for earlier in segments if earlier.start < start), segment]
        self._total += self.rows(game)
        if ended:
            self._ended.add(game)
        while self._open in self._ended:
            self._before += self.rows(self._open)
            self._open += 1

    def rows(self, game: int) -> int:
        """Count what is there of a game.

        Args:
            game: the game's number.

        Returns:
            The number of rows.
        """
        return sum(segment.rows for segment in self._segments[game])

    def total(self) -> int:
        """Count what is there of all games.

        Returns:
            The number of rows.
        """
        return self._total

    def reached(self) -> int:
        """Count the rows that follow on each other from the collection's beginning.

        Returns:
            The number of rows.
        """
        return self._before + self.rows(self._open)

    def next_game(self, steps: int, running: Set[int]) -> tuple[int, int] | None:
        """Choose what to play next.

        Args:
            steps: how many rows the collection is to have.
            running: the games that are being played.

        Returns:
            A game's number and the most rows of it that can be needed; None while all that is
            needed is there or being played. What is being played counts with what it has so far.
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
            A game's number and a segment's file; None for as long as the next one is not there.
        """
        for game in count():
            passed = 0
            while passed < len(self._segments[game]) or game not in self._ended:
                if passed == len(self._segments[game]):
                    yield None
                else:
                    yield game, self._segments[game][passed].path
                    passed += 1
