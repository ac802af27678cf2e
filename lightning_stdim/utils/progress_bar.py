"""A progress bar for work that takes a while."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from lightning_stdim.utils import timings


@contextmanager
def progress_bar(
    description: str, total: int, *, enabled: bool
) -> Iterator[Callable[[int, str], None]]:
    """Show a bar on standard error while the block runs, and record how long it took.

    Args:
        description: what is being done.
        total: steps until it is done.
        enabled: whether to show the bar.

    Yields:
        A function to call with the number of steps done so far and a note to show beside the bar.
    """
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:.0f}/{task.total:.0f}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )
    started = time.monotonic()
    marks: list[tuple[int, float]] = []  # steps done and seconds: the first time, and the last
    with Progress(*columns, console=Console(stderr=True), disable=not enabled) as bar:
        task = bar.add_task(description, total=total, note="")

        def update(done: int, note: str = "") -> None:
            bar.update(task, completed=done, note=note)
            del marks[1:]
            marks.append((done, time.monotonic() - started))

        yield update
    if marks:
        (first, warm_up), (done, seconds) = marks[0], marks[-1]
        timings.record(
            description, steps=done, seconds=seconds, first_steps=first, first_seconds=warm_up
        )
