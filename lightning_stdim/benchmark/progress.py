"""How a benchmark shows where it is: a live table on a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Iterable
from statistics import fmean
from types import TracebackType
from typing import Literal, Self

from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from lightning_stdim.benchmark.cells import RunSpec
from lightning_stdim.utils.log_tail import duration

State = Literal["waiting", "running", "done", "failed", "was done"]
STYLES: dict[State, str] = {
    "waiting": "dim",
    "running": "cyan",
    "done": "green",
    "failed": "bold red",
    "was done": "dim green",
}

LAST = 5
"""How many finished cells the live table shows."""


class Progress:
    """Shows where a grid is; a context manager.

    Args:
        cells: the whole grid.
        console: where to show it.
        jobs: how many run at a time.
    """

    def __init__(self, cells: Iterable[RunSpec], console: Console, *, jobs: int = 1) -> None:
        self.console = console
        self.jobs = jobs
        self.states: dict[RunSpec, State] = dict.fromkeys(cells, "waiting")
        self.places = {cell: place for place, cell in enumerate(self.states, start=1)}
        self.words: dict[RunSpec, str] = {}
        self.started: dict[RunSpec, float] = {}
        self.seconds: dict[RunSpec, float] = {}
        self.live = Live(console=console, get_renderable=self._view, refresh_per_second=2)

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

    def say(self, cell: RunSpec, words: str) -> None:
        """Replace what a running cell is said to be doing; shown on a terminal only.

        Args:
            cell: which one.
            words: what it is doing.
        """
        self.words[cell] = words

    def change(
        self, cell: RunSpec, state: State, words: str = "", *, seconds: float | None = None
    ) -> None:
        """Record that a cell has changed its state.

        Args:
            cell: which one.
            state: its new state.
            words: what a reader would want to know about it.
            seconds: how long it took, if it did not run here.
        """
        self.states[cell] = state
        self.words[cell] = words
        if state == "running":
            self.started[cell] = time.monotonic()
        elif cell in self.started:
            self.seconds[cell] = time.monotonic() - self.started[cell]
        elif seconds is not None:
            self.seconds[cell] = seconds
        if not self.console.is_terminal:
            line = f"[{self.places[cell]}/{len(self.states)}] {cell}: {state}"
            if cell in self.started and state != "running":
                line += f" after {self.seconds[cell]:.0f} s"
            if words:
                line += f": {words}"
            if state == "done" and (left := self.seconds_left()):
                line += f"; {duration(left)} left"
            self.console.print(line, markup=False, highlight=False, soft_wrap=True)

    def seconds_left(self) -> float | None:
        """Expect of every cell to come what its method has taken so far.

        Returns:
            Seconds until all is done; None as long as there is nothing to go by.
        """
        taken = defaultdict(list)
        for cell, seconds in self.seconds.items():
            if self.states[cell] in ("done", "was done"):
                taken[_kind(cell)].append(seconds)
        if not taken:
            return None
        means = {kind: fmean(values) for kind, values in taken.items()}
        other = fmean(means.values())  # of a kind that has not run yet
        now = time.monotonic()
        left = []
        for cell, state in self.states.items():
            expected = means.get(_kind(cell), other)
            if state == "waiting":
                left.append(expected)
            elif state == "running":
                left.append(max(0.0, expected - (now - self.started[cell])))
        # No sooner than the longest of them, and no sooner than all of them side by side.
        return max([sum(left) / self.jobs, *left], default=0.0)

    def _view(self) -> Group:
        counts = Counter(self.states.values())
        done = counts["done"] + counts["was done"]
        head = f"{done} of {len(self.states)} done, {counts['running']} running"
        if counts["failed"]:
            head += f", [{STYLES['failed']}]{counts['failed']} failed[/]"
        left = self.seconds_left()
        if left:
            head += f"; {duration(left)} left"
        return Group(Text.from_markup(head), self._counts(), self._cells())

    def _counts(self) -> Table:
        """Count what is done by method, or by game if there are several."""
        games = len({cell.game for cell in self.states}) > 1
        rows: dict[str, Counter[State]] = defaultdict(Counter)
        for cell, state in self.states.items():
            rows[cell.game if games else cell.name][state] += 1
        table = Table.grid(padding=(0, 2))
        for name, states in rows.items():
            done, total = states["done"] + states["was done"], states.total()
            style = STYLES[
                "done" if done == total else "running" if states["running"] else "waiting"
            ]
            table.add_row(
                escape(name), ProgressBar(total, done, width=20), f"[{style}]{done}/{total}[/]"
            )
        return table

    def _cells(self) -> Table:
        """Show what runs and what failed, and the last that was done."""
        table = Table.grid(padding=(0, 2))
        table.add_column()
        table.add_column()
        table.add_column(justify="right")
        table.add_column(no_wrap=True)
        done = [cell for cell, state in self.states.items() if state == "done"][-LAST:]
        for cell, state in self.states.items():
            if state not in ("running", "failed") and cell not in done:
                continue
            seconds = self.seconds.get(cell)
            if state == "running":
                seconds = time.monotonic() - self.started[cell]
            clock = "" if seconds is None else f"{int(seconds) // 60}:{int(seconds) % 60:02d}"
            words = escape(self.words.get(cell, ""))
            table.add_row(escape(str(cell)), f"[{STYLES[state]}]{state}[/]", clock, words)
        return table


def _kind(cell: RunSpec) -> tuple[str, bool]:
    """Tell apart what takes different times: methods, and training from only probing."""
    return cell.method, cell.source is None
