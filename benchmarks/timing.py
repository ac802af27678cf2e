"""Timing: several things in turn, so that other work disturbs them alike, or one many times."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import as_command_line  # noqa: F401
import numpy as np
import torch


@dataclass
class Rounds:
    """Measurements of several things, in rounds of all of them.

    A machine's speed changes between rounds more than within one. So a ratio is one of the same
    round, or the median of those, and not a ratio of medians.

    Attributes:
        values: of each, by name: one a round.
    """

    values: dict[str, list[float]] = field(default_factory=dict)

    def add(self, name: str, value: float) -> None:
        """Keep a measurement of one thing in a round."""
        self.values.setdefault(name, []).append(value)

    def median(self, name: str) -> float:
        """Find the median over the rounds."""
        return statistics.median(self.values[name])

    def ratios(self, name: str, to: str) -> list[float]:
        """Divide one thing's values by another's, round by round."""
        return [a / b for a, b in zip(self.values[name], self.values[to], strict=True)]

    def ratio(self, name: str, to: str) -> float:
        """Find the median of these ratios."""
        return statistics.median(self.ratios(name, to))

    def quartiles(self, name: str, to: str) -> tuple[float, float, float]:
        """Find the lower quartile, the median and the upper quartile of these ratios."""
        lower, middle, upper = np.quantile(self.ratios(name, to), [0.25, 0.5, 0.75]).tolist()
        return lower, middle, upper


def wait_for_device() -> None:
    """Wait until the GPU, if there is one, has done what this thread gave it to do."""
    if torch.cuda.is_available():
        torch.cuda.current_stream().synchronize()


def in_turn(
    variants: Mapping[str, Callable[[], object]],
    *,
    repeats: int,
    warm_up: int = 2,
    clock: Callable[[], float] = time.perf_counter,
) -> Rounds:
    """Run everything in turn, again and again.

    Args:
        variants: what to run, by name.
        repeats: how often it counts.
        warm_up: how often before that: the first runs allocate and tune.
        clock: what tells the time, in seconds.

    Returns:
        The seconds of each, with the device's work done.
    """
    rounds = Rounds()
    wait_for_device()  # the first time it takes long
    for repeat in range(warm_up + repeats):
        for name, run in variants.items():
            started = clock()
            run()
            wait_for_device()
            if repeat >= warm_up:
                rounds.add(name, clock() - started)
    return rounds


def rate(step: Callable[[], None], seconds: float) -> float:
    """Count steps a second."""
    wait_for_device()
    started, count = time.perf_counter(), 0
    while time.perf_counter() - started < seconds:
        step()
        count += 1
        if count % 20 == 0:
            wait_for_device()  # or what was launched would count as done
    wait_for_device()
    return count / (time.perf_counter() - started)


def warm(step: Callable[[], None]) -> Callable[[], None]:
    """Take the first steps, which allocate and tune."""
    for _ in range(3):
        step()
    wait_for_device()
    return step
