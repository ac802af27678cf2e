"""Means over seeds with Student's t intervals."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev


@dataclass(frozen=True)
class Estimate:
    """A mean over runs.

    Attributes:
        mean: the arithmetic mean.
        half_width: half the width of the interval ``mean +- half_width``; None for a single run.
        runs: how many runs the mean is over.
    """

    mean: float
    half_width: float | None
    runs: int


def estimate(values: Sequence[float], *, level: float = 0.95) -> Estimate:
    """Estimate a mean from a few runs.

    The interval is Student's: it covers the mean of all possible seeds with the stated
    probability when the scores of single seeds are about normal. (With two to five seeds a
    bootstrap interval is far too narrow.) It is not cut at 0 or 1.

    Args:
        values: one score per seed, at least one.
        level: coverage, in (0, 1).

    Returns:
        The mean and the interval's half-width.

    Raises:
        ValueError: there are no values.
    """
    if not values:
        raise ValueError("no values to average")
    n = len(values)
    if n == 1:
        return Estimate(mean=values[0], half_width=None, runs=1)
    quantile = student_quantile(0.5 + level / 2, n - 1)
    return Estimate(fmean(values), quantile * stdev(values) / math.sqrt(n), n)


def student_quantile(probability: float, degrees: int) -> float:
    """Invert Student's t distribution for whole degrees of freedom.

    SciPy has this; it would be a dependency for one number.

    Args:
        probability: in [0.5, 1).
        degrees: degrees of freedom, at least 1.

    Returns:
        The t below which a variate falls with that probability.

    Raises:
        ValueError: an argument is out of its range.
    """
    if not 0.5 <= probability < 1 or degrees < 1:
        raise ValueError(f"no quantile for probability {probability}, degrees {degrees}")
    # Bisection over the angle, atan(t / sqrt(degrees)): bounded, and the series is in its cosine.
    low, high = 0.0, math.pi / 2
    for _ in range(60):
        middle = (low + high) / 2
        if 0.5 + _within(middle, degrees) / 2 < probability:
            low = middle
        else:
            high = middle
    return math.tan(low) * math.sqrt(degrees)


def _within(angle: float, degrees: int) -> float:
    """P(|T| < sqrt(degrees) tan(angle)), in closed form (Abramowitz and Stegun 26.7.3, 26.7.4)."""
    sine, cosine = math.sin(angle), math.cos(angle)
    odd = degrees % 2
    term = total = cosine if odd else 1.0
    for k in range(2 + odd, degrees, 2):
        term *= cosine * cosine * (k - 1) / k
        total += term
    if not odd:
        return sine * total
    return 2 / math.pi * (angle + (sine * total if degrees > 1 else 0.0))
