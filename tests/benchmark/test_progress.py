"""What a grid says of itself, and what it expects."""

from __future__ import annotations

import io
import itertools

import pytest
from rich.console import Console

from lightning_stdim.benchmark import progress
from lightning_stdim.benchmark.progress import Progress
from lightning_stdim.utils.log_tail import duration
from tests.specs import spec


@pytest.fixture
def clock(monkeypatch) -> list[float]:
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def shown(runs, *, jobs: int, terminal: bool = False) -> Progress:
    console = Console(file=io.StringIO(), width=100, force_terminal=terminal, color_system=None)
    return Progress(runs, console, jobs=jobs)


def test_time_left_is_what_the_method_took_before(clock) -> None:
    quick, slow = ([spec("pong", name, seed) for seed in range(3)] for name in ("vae", "cpc"))
    grid = shown([*quick, *slow], jobs=1)
    assert grid.seconds_left() is None
    grid.change(quick[0], "was done", seconds=10.0)
    assert grid.seconds_left() == pytest.approx(5 * 10)  # nothing is known of the slow one
    grid.change(slow[0], "running")
    clock[0] = 40.0
    grid.change(slow[0], "done")
    assert grid.seconds_left() == pytest.approx(2 * 10 + 2 * 40)
    grid.change(slow[1], "running")
    clock[0] = 55.0
    assert grid.seconds_left() == pytest.approx(2 * 10 + 40 + (40 - 15))
    clock[0] = 155.0  # later than expected: any moment now
    assert grid.seconds_left() == pytest.approx(2 * 10 + 40)
    grid.change(slow[1], "failed")  # says nothing about how long they take
    assert grid.seconds_left() == pytest.approx(2 * 10 + 40)


def test_side_by_side_it_takes_as_long_as_the_longest(clock) -> None:
    runs = [spec("pong", "vae", seed) for seed in range(4)]
    grid = shown(runs, jobs=2)
    grid.change(runs[0], "was done", seconds=10.0)
    assert grid.seconds_left() == pytest.approx(15)
    for run in runs[1:3]:
        grid.change(run, "was done", seconds=10.0)
    assert grid.seconds_left() == pytest.approx(10)
    grid.change(runs[3], "was done", seconds=10.0)
    assert grid.seconds_left() == 0


def test_a_large_grid_fits_on_a_screen(clock) -> None:
    games, methods = [f"game{k}" for k in range(22)], [f"method{k}" for k in range(17)]
    runs = [spec(*run, 0) for run in itertools.product(games, methods)]
    grid = shown(runs, jobs=2, terminal=True)
    for run in runs[:40]:
        grid.change(run, "running")
        clock[0] += 1
        grid.change(run, "done")
    grid.change(runs[40], "running")
    grid.say(runs[40], "[epoch 3] half of it")
    grid.change(runs[41], "failed", "no room")
    with grid.console.capture() as captured:
        grid.console.print(grid._view())
    text = captured.get()
    assert text.count("\n") < 40
    assert "40 of 374 done, 1 running" in text
    assert "1 failed" in text
    for part in ("17/17", "6/17", "game2 method6 seed 0", "[epoch 3] half of it"):
        assert part in text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (89.4, "89 s"),
        (600, "10 min"),
        (5990, "1 h 40 min"),
        (7200, "2 h 0 min"),
        (48 * 3600, "2 days 0 h"),
        (100 * 3600 + 1800, "4 days 4 h"),
    ],
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text
