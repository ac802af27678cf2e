"""Means over seeds with Student's t intervals."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, variance

EQUAL = 1e-9
"""Scores that differ by less are equal: it is rounding."""


@dataclass(frozen=True)
class MeanWithCI:
    """A mean over runs.

    Attributes:
        mean: the arithmetic mean.
        half_width: half the width of the interval ``mean +- half_width``; None where it is not
            known: from a single run, or from runs that all have the same score.
        runs: number of runs that the mean is over.
    """

    mean: float
    half_width: float | None
    runs: int


def mean_with_ci(values: Sequence[float], *, level: float = 0.95) -> MeanWithCI:
    """Estimate a mean from a few runs.

    The interval is Student's: it covers the mean of all possible seeds with the stated
    probability when the scores of single seeds are about normal. (With two to five seeds a
    bootstrap interval is far too narrow.) It is not cut at 0 or 1.

    Args:
        values: one score per seed, at least one.
        level: coverage, in (0, 1).

    Returns:
        The mean and the interval's half-width, None for a single run or equal scores.

    Raises:
        ValueError: there are no values.
    """
    return stratified_mean_with_ci([values], level=level)


def stratified_mean_with_ci(
    strata: Sequence[Sequence[float]], *, level: float = 0.95
) -> MeanWithCI:
    """Estimate the mean over games of the means over seeds, from a few runs of each game.

    With n_g runs of variance s_g^2 in game g, the mean's variance is the sum over the G games of
    v_g = s_g^2 / (n_g G^2), and the interval is Student's with (sum v_g)^2 / sum(v_g^2 / (n_g - 1))
    degrees of freedom (Satterthwaite, Biometrics Bulletin 2, 1946). For one game it is
    :func:`mean_with_ci`'s.

    Args:
        strata: for each game one score per seed, at least one; games may differ in their number.
        level: coverage, in (0, 1).

    Returns:
        The mean and the interval's half-width, None if a game has a single run, or if in every
        game all runs have the same score.

    Raises:
        ValueError: there are no games, or one has no values.
    """
    if not strata or not all(strata):
        raise ValueError("no values to average")
    mean, runs = fmean(map(fmean, strata)), sum(map(len, strata))
    if min(map(len, strata)) == 1:
        return MeanWithCI(mean, None, runs)
    parts = [variance(values) / len(values) / len(strata) ** 2 for values in strata]
    total = sum(parts)
    if total < EQUAL**2:  # copies of a run, or a method without chance: no interval of width 0
        return MeanWithCI(mean, None, runs)
    from scipy.special import stdtrit  # slower to import than all else here

    shares = [part / total for part in parts]  # their squares do not underflow
    degrees = 1 / sum(
        share**2 / (len(values) - 1) for share, values in zip(shares, strata, strict=True)
    )
    return MeanWithCI(mean, float(stdtrit(degrees, 0.5 + level / 2)) * math.sqrt(total), runs)
