"""Times of things done in turn, so that whatever else the machine does disturbs them alike."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping

import torch


def in_turn(
    variants: Mapping[str, Callable[[], object]], *, repeats: int, warm_up: int = 2
) -> dict[str, float]:
    """Run everything in turn, again and again.

    Args:
        variants: what to run, by name.
        repeats: how often it counts.
        warm_up: how often before that: the first runs allocate and tune.

    Returns:
        The median seconds of each, with the device's work done.
    """
    seconds: dict[str, list[float]] = {name: [] for name in variants}
    for repeat in range(warm_up + repeats):
        for name, run in variants.items():
            started = time.perf_counter()
            run()
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            if repeat >= warm_up:
                seconds[name].append(time.perf_counter() - started)
    return {name: statistics.median(values) for name, values in seconds.items()}
