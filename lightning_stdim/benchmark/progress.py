"""How a benchmark shows where it is: a live table on a terminal, plain lines elsewhere."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.table import Table

from lightning_stdim.benchmark.cells import Cell

State = Literal["waiting", "running", "done", "failed", "was done"]
STYLES: dict[State, str] = {
    "waiting": "dim",
    "running": "cyan",
    "done": "green",
    "failed": "bold red",
    "was done": "dim green",
}


class Progress:
    """Shows every cell's state; a context manager.

    Args:
        cells: the whole grid.
        console: where to show it.
    """

    def __init__(self, cells: Iterable[Cell], console: Console) -> None:
        self.console = console
        self.states: dict[Cell, State] = dict.fromkeys(cells, "waiting")
        self.words: dict[Cell, str] = {}
        self.started: dict[Cell, float] = {}
        self.seconds: dict[Cell, float] = {}
        self.live = Live(console=console, get_renderable=self._table, refresh_per_second=2)

    def __enter__(self) -> Self:
        if self.console.is_terminal:
            self.live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.console.is_terminal:
            self.live.stop()

    def say(self, cell: Cell, words: str) -> None:
        """Replace what a running cell is said to be doing; shown on a terminal only.

        Args:
            cell: which one.
            words: what it is doing.
        """
        self.words[cell] = words

    def change(self, cell: Cell, state: State, words: str = "") -> None:
        """Record that a cell has changed its state.

        Args:
            cell: which one.
            state: its new state.
            words: what a reader would want to know about it.
        """
        self.states[cell] = state
        self.words[cell] = words
        if state == "running":
            self.started[cell] = time.monotonic()
        elif cell in self.started:
            self.seconds[cell] = time.monotonic() - self.started[cell]
        if not self.console.is_terminal:
            place = list(self.states).index(cell) + 1
            line = f"[{place}/{len(self.states)}] {cell}: {state}"
            if cell in self.seconds:
                line += f" after {self.seconds[cell]:.0f} s"
            if words:
                line += f": {words}"
            self.console.print(line, markup=False, highlight=False, soft_wrap=True)

    def _table(self) -> Table:
        table = Table.grid(padding=(0, 2))
        for cell, state in self.states.items():
            seconds = self.seconds.get(cell)
            if state == "running":
                seconds = time.monotonic() - self.started[cell]
            clock = "" if seconds is None else f"{int(seconds) // 60}:{int(seconds) % 60:02d}"
            words = escape(self.words.get(cell, ""))
            table.add_row(str(cell), f"[{STYLES[state]}]{state}[/]", clock, words)
        table.columns[2].justify = "right"
        table.columns[3].no_wrap = True
        return table


def last_words(log: Path) -> str:
    """Read the last line that a process has written, as a terminal would show it.

    Args:
        log: the file that its output goes to.

    Returns:
        The line without control sequences; empty if there is none.
    """
    with log.open("rb") as file:
        file.seek(0, 2)
        file.seek(max(0, file.tell() - 4096))
        tail = file.read().decode(errors="replace")
    # Progress bars draw over their line: a carriage return ends one state of it.
    lines = re.split(r"[\r\n]+", re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", tail))
    return next((line.strip() for line in reversed(lines) if line.strip()), "")
