"""The progress of a benchmark: a live table on a terminal, plain lines elsewhere."""

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

from lightning_stdim.benchmark.run_spec import RunSpec
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
"""Number of finished runs that the live table shows."""


class Progress:
    """Shows the progress of a grid while a block runs.

    Args:
        specs: the runs of the whole grid.
        console: where to show the progress.
        jobs: number of runs at a time.
    """

    def __init__(self, specs: Iterable[RunSpec], console: Console, *, jobs: int = 1) -> None:
        self.console = console
        self.jobs = jobs
        self.states: dict[RunSpec, State] = dict.fromkeys(specs, "waiting")
        self.places = {run: place for place, run in enumerate(self.states, start=1)}
        self.messages: dict[RunSpec, str] = {}
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

    def say(self, run: RunSpec, message: str) -> None:
        """Replace the message beside a run, which is shown on a terminal only.

        Args:
            run: a run in progress.
            message: what it is doing.
        """
        self.messages[run] = message

    def change(
        self, run: RunSpec, state: State, message: str = "", *, seconds: float | None = None
    ) -> None:
        """Record that a run has changed its state.

        Args:
            run: the run.
            state: its new state.
            message: what to show beside it.
            seconds: how long the run took, if it was made earlier.
        """
        self.states[run] = state
        self.messages[run] = message
        if state == "running":
            self.started[run] = time.monotonic()
        elif run in self.started:
            self.seconds[run] = time.monotonic() - self.started[run]
        elif seconds is not None:
            self.seconds[run] = seconds
        if not self.console.is_terminal:
            line = f"[{self.places[run]}/{len(self.states)}] {run}: {state}"
            if run in self.started and state != "running":
                line += f" after {self.seconds[run]:.0f} s"
            if message:
                line += f": {message}"
            if state == "done" and (left := self.seconds_left()):
                line += f"; {duration(left)} left"
            self.console.print(line, markup=False, highlight=False, soft_wrap=True)

    def seconds_left(self) -> float | None:
        """Estimate the time left, from the mean time of the finished runs of each method.

        Returns:
            Seconds until all runs are done; None as long as no run has finished.
        """
        taken = defaultdict(list)
        for run, seconds in self.seconds.items():
            if self.states[run] in ("done", "was done"):
                taken[_kind(run)].append(seconds)
        if not taken:
            return None
        means = {kind: fmean(values) for kind, values in taken.items()}
        other = fmean(means.values())  # for a kind of which no run has finished
        now = time.monotonic()
        left = []
        for run, state in self.states.items():
            expected = means.get(_kind(run), other)
            if state == "waiting":
                left.append(expected)
            elif state == "running":
                left.append(max(0.0, expected - (now - self.started[run])))
        # Not less than the longest run, nor than all of them divided by the jobs.
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
        return Group(Text.from_markup(head), self._counts(), self._runs())

    def _counts(self) -> Table:
        """Show the number of finished runs by method, or by game if there are several games."""
        games = len({run.key.game for run in self.states}) > 1
        rows: dict[str, Counter[State]] = defaultdict(Counter)
        for run, state in self.states.items():
            rows[run.key.game if games else run.key.method][state] += 1
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

    def _runs(self) -> Table:
        """List runs in progress, failed runs, and the last that finished."""
        table = Table.grid(padding=(0, 2))
        table.add_column()
        table.add_column()
        table.add_column(justify="right")
        table.add_column(no_wrap=True)
        done = [run for run, state in self.states.items() if state == "done"][-LAST:]
        for run, state in self.states.items():
            if state not in ("running", "failed") and run not in done:
                continue
            seconds = self.seconds.get(run)
            if state == "running":
                seconds = time.monotonic() - self.started[run]
            clock = "" if seconds is None else f"{int(seconds) // 60}:{int(seconds) % 60:02d}"
            message = escape(self.messages.get(run, ""))
            table.add_row(escape(str(run)), f"[{STYLES[state]}]{state}[/]", clock, message)
        return table


def _kind(run: RunSpec) -> tuple[str, bool]:
    """Name the group of runs that take about as long: by method, and whether they only probe."""
    return run.key.method, run.only_probes
