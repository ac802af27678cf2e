"""Statistics of methods over games and seeds: aggregates, intervals, comparisons, verdicts.

A method's scores are an array [runs, games]; a row is a seed, the same one for all methods, and
NaN stands for a run that is missing. The games are fixed: intervals are over other seeds, not over
other games.

Source: Agarwal et al. 2021, "Deep Reinforcement Learning at the Edge of the Statistical Precipice"
(arXiv 2108.13264), for everything but the paired differences.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import fmean
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from lightning_stdim.errors import ConfigurationError
from lightning_stdim.report.statistics.student import mean_with_ci, stratified_mean_with_ci
from lightning_stdim.utils.counted import counted

ScoreMatrix = NDArray[np.float64]
"""Float [..., runs, games]; the axes before the last two are those of resamples or methods."""

Key = TypeVar("Key", bound=Hashable)
"""The type of the methods' names."""

LEVEL = 0.95
"""Coverage of the intervals."""

RESAMPLES = 2000
"""Number of bootstrap resamples: enough for the bounds' second decimal."""


@dataclass(frozen=True)
class Interval:
    """A number and its interval.

    Attributes:
        value: computed from all runs.
        low: the lower bound, NaN where a game with a single run leaves it unknown.
        high: the upper bound, likewise.
    """

    value: float
    low: float
    high: float

    @property
    def known(self) -> bool:
        """Whether there are bounds."""
        return not math.isnan(self.low)

    def __format__(self, spec: str) -> str:
        """Write value and bounds, such as "0.52 [0.41, 0.63]"; ``spec`` is for the value."""
        low, high = (round(bound, 2) + 0.0 for bound in (self.low, self.high))  # no -0.00
        bounds = f" [{low:.2f}, {high:.2f}]" if self.known else ", no interval"
        return f"{self.value:{spec or '.2f'}}{bounds}"


def mean(scores: ScoreMatrix) -> NDArray[np.float64]:
    """Average over each game's runs, then over games.

    Args:
        scores: float [..., runs, games].

    Returns:
        Float [...].
    """
    mean: NDArray[np.float64] = np.nanmean(scores, axis=-2).mean(axis=-1)
    return mean


def interquartile_mean(scores: ScoreMatrix) -> NDArray[np.float64]:
    """Average the middle half of all runs of all games.

    The n scores are pooled and the floor(n / 4) lowest and highest left out (Agarwal et al. 2021,
    section 4.3). A game with more runs than another counts more.

    Args:
        scores: float [..., runs, games], NaN in the same number of places of each leading index.

    Returns:
        Float [...].
    """
    pooled = np.sort(scores.reshape(*scores.shape[:-2], -1), axis=-1)  # NaN comes last
    n = int(np.count_nonzero(~np.isnan(pooled), axis=-1).flat[0])
    middle: NDArray[np.float64] = pooled[..., n // 4 : n - n // 4].mean(axis=-1)
    return middle


def probability_of_improvement(a: ScoreMatrix, b: ScoreMatrix) -> NDArray[np.float64]:
    """Compute the probability that a run of one method beats a run of another, averaged over games.

    For each game this is the share of pairs of runs, one of each method, in which ``a`` is ahead;
    ties count half (Mann and Whitney's U over the number of pairs; Agarwal et al. 2021, section
    4.3). A pair can be of two different seeds. So what the methods have in common within a seed
    draws the probability towards 1/2, and :func:`paired_difference` may resolve what this does not.

    Args:
        a: float [..., runs, games].
        b: float [..., runs, games]; the number of runs may differ.

    Returns:
        Float [...], 0 to 1.
    """
    ahead = np.sign(a[..., :, None, :] - b[..., None, :, :])  # NaN where a run is missing
    share: NDArray[np.float64] = (1 + np.nanmean(ahead, axis=(-3, -2)).mean(axis=-1)) / 2
    return share


def bootstrap(
    statistic: Callable[..., NDArray[np.float64]],
    *samples: ScoreMatrix,
    level: float = LEVEL,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Interval:
    """Compute a statistic of one or several methods with its stratified bootstrap interval.

    Each resample draws, for each method and game independently, as many runs as there are, with
    replacement; the bounds are percentiles of the statistic over the resamples (Agarwal et al.
    2021, section 4.2).

    The spread of n resampled runs is on average (n - 1) / n of the variance between seeds. So with
    few runs a game the interval is too narrow, however many games there are: see
    docs/statistics.md. For the mean of one game take :func:`student.mean_with_ci`.

    Args:
        statistic: takes as many arrays [..., runs, games] as there are samples and returns [...]:
            :func:`mean`, :func:`interquartile_mean`, :func:`probability_of_improvement`.
        *samples: each float [runs, games], NaN where a run is missing.
        level: coverage, in (0, 1).
        resamples: number of resamples.
        seed: random seed of the resampling; the same one gives the same interval.

    Returns:
        The statistic and its interval; no bounds if a game has a single run.

    Raises:
        ConfigurationError: a sample is not two-dimensional, or a game has no run.
    """
    for scores in samples:
        _check(scores)
    value, (low, high) = _percentiles(statistic, samples, level, resamples, seed)
    return Interval(float(value), float(low), float(high))


def average_ranks(
    scores: Mapping[Key, ScoreMatrix], *, level: float = LEVEL, resamples: int = RESAMPLES
) -> dict[Key, Interval]:
    """Rank the methods within each game by their mean over runs, and average over games.

    The best has rank 1; equal ones share the mean of their ranks (Demšar, JMLR 7, 2006). Only
    seeds that all methods have are counted, and the bootstrap draws them for all methods together:
    what the seeds do to all of them changes no rank.

    Args:
        scores: for each method float [runs, games], of the same shape.
        level: coverage of the intervals, in (0, 1).
        resamples: number of resamples of the bootstrap.

    Returns:
        For each method its average rank, 1 to the number of methods; no bounds if a game has a
        single seed.

    Raises:
        ConfigurationError: the arrays are not two-dimensional or differ in shape, or a game has no
            seed that all methods have.
    """
    together = np.stack(_paired(scores))  # [methods, runs, games]
    values, bounds = _percentiles(_ranks, [together], level, resamples, seed=0)
    return {
        name: Interval(float(value), float(low), float(high))
        for name, value, low, high in zip(scores, values, *bounds, strict=True)
    }


@dataclass(frozen=True)
class PairedDifference(Interval):
    """The mean of the paired differences a - b, and how often each method is ahead.

    Attributes:
        ahead: pairs with a over b.
        behind: pairs with a under b.
        seeds: for each game the number of seeds that both methods have.
    """

    ahead: int
    behind: int
    seeds: tuple[int, ...]

    def __neg__(self) -> PairedDifference:
        return PairedDifference(
            -self.value, -self.high, -self.low, self.behind, self.ahead, self.seeds
        )

    @property
    def resolved(self) -> bool:
        """Whether the interval leaves out zero."""
        return self.low > 0 or self.high < 0


def paired_difference(a: ScoreMatrix, b: ScoreMatrix, *, level: float = LEVEL) -> PairedDifference:
    """Compare two methods within (game, seed).

    Methods of one seed share collection and split, so that their scores go up and down together;
    the differences do not. Their mean over each game's seeds, averaged over games, has a Student
    interval (:func:`student.stratified_mean_with_ci`): unlike the bootstrap's it is wide enough for
    a few seeds. Where one of several games has a single seed, it is Student's over the games'
    means, in which what differs between games counts as noise, too: wider than need be.

    Args:
        a: float [runs, games]; row k is the same seed as in ``b``.
        b: float [runs, games].
        level: coverage, in (0, 1).

    Returns:
        The mean difference; no bounds if there is a single game with a single common seed, or if
        all differences are equal.

    Raises:
        ConfigurationError: the arrays are not two-dimensional or differ in shape, or a game has no
            common seed.
    """
    first, second = _paired({"a": a, "b": b})
    differences = first - second
    strata = [game[~np.isnan(game)].tolist() for game in differences.T]
    found = stratified_mean_with_ci(strata, level=level)
    if found.half_width is None:
        found = mean_with_ci([fmean(game) for game in strata], level=level)
    half_width = np.nan if found.half_width is None else found.half_width
    return PairedDifference(
        value=found.mean,
        low=found.mean - half_width,
        high=found.mean + half_width,
        ahead=int((differences > 0).sum()),
        behind=int((differences < 0).sum()),
        seeds=tuple(map(len, strata)),
    )


def verdict(a: str, b: str, difference: PairedDifference) -> str:
    """Say in words what a paired difference shows, and whether the runs resolve it.

    Args:
        a: the first method's name.
        b: the second one's, which was subtracted.
        difference: from :func:`paired_difference`.

    Returns:
        Such as "ST-DIM is ahead of VAE: +0.12 [0.08, 0.16], in 5 of 5 seeds" or "ST-DIM against
        VAE is not resolved by 3 seeds: +0.02 [-0.10, 0.14], ST-DIM ahead in 2 of 3 seeds".
        Of differences that are all equal it says that they are: they have no spread to judge by.
    """
    if difference.high < 0:
        return verdict(b, a, -difference)
    least, most = min(difference.seeds), max(difference.seeds)
    games, pairs = len(difference.seeds), sum(difference.seeds)
    seeds = f"{least} to {most} seeds" if least < most else counted(most, "seed")
    over = f" over {counted(games, 'game')}" if games > 1 else ""
    unit = "run" if games > 1 else "seed"

    size, wins = f"{difference:+.2f}{over}", f"{difference.ahead} of {counted(pairs, unit)}"
    if not difference.known and pairs > 1:
        if not difference.ahead and not difference.behind:
            return f"{a} and {b} have the same score in {counted(pairs, unit)}: a tie"
        return (
            f"{a} against {b} cannot be judged: the difference is {difference.value:+.2f} in all "
            f"{counted(pairs, unit)}, so there is no spread to judge by"
        )
    if difference.resolved:
        return f"{a} is ahead of {b}: {size}, in {wins}"
    return f"{a} against {b} is not resolved by {seeds}: {size}, {a} ahead in {wins}"


def reversals(first: Mapping[Key, float], second: Mapping[Key, float]) -> list[tuple[Key, Key]]:
    """Find the pairs of methods that two summaries put in opposite orders.

    Args:
        first: each method's score in one summary, such as the mean over categories.
        second: the same in another, such as the mean over variables.

    Returns:
        Pairs (a, b) with a ahead of b in the first and behind in the second. Only methods that both
        have are compared; a tie is no opposite.
    """
    pairs = combinations([name for name in first if name in second], 2)
    return [
        (a, b) if first[a] > first[b] else (b, a)
        for a, b in pairs
        if (first[a] - first[b]) * (second[a] - second[b]) < 0
    ]


def _percentiles(
    statistic: Callable[..., NDArray[np.float64]],
    samples: Sequence[ScoreMatrix],
    level: float,
    resamples: int,
    seed: int,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Compute a statistic, and its bounds over resamples: [...] and [2, ...]."""
    value = statistic(*samples)
    if any(_there(scores).sum(axis=0).min() < 2 for scores in samples):
        return value, np.full((2, *np.shape(value)), np.nan)
    random = np.random.default_rng(seed)
    drawn = statistic(*(_resample(scores, resamples, random) for scores in samples))
    bounds: NDArray[np.float64] = np.quantile(drawn, [0.5 - level / 2, 0.5 + level / 2], axis=0)
    return value, bounds


def _resample(scores: ScoreMatrix, resamples: int, random: np.random.Generator) -> ScoreMatrix:
    """Draw each game's runs with replacement, the same for all methods: [resamples, ...]."""
    there = _there(scores)
    runs = there.sum(axis=0)  # [games]
    order = np.argsort(~there, axis=0, stable=True)  # a game's runs first
    drawn = (random.random((resamples, *there.shape)) * runs).astype(np.intp)
    rows = np.take_along_axis(order[None], drawn, axis=1)
    rows = rows.reshape(resamples, *[1] * (scores.ndim - 2), *there.shape)
    found: ScoreMatrix = np.take_along_axis(scores[None], rows, axis=-2)
    # As many runs as there are: the others stay missing.
    found[..., np.arange(scores.shape[-2])[:, None] >= runs] = np.nan
    return found


def _there(scores: ScoreMatrix) -> NDArray[np.bool_]:
    """Tell which runs there are, of every method: [runs, games]."""
    there: NDArray[np.bool_] = np.all(~np.isnan(scores), axis=tuple(range(scores.ndim - 2)))
    return there


def _ranks(scores: ScoreMatrix) -> NDArray[np.float64]:
    """Average over games the ranks of means: [..., methods, runs, games] to [..., methods]."""
    means = np.nanmean(scores, axis=-2)  # [..., methods, games]
    ahead = np.sign(means[..., None, :, :] - means[..., :, None, :]).sum(axis=-2)
    ranks: NDArray[np.float64] = ((means.shape[-2] + 1 + ahead) / 2).mean(axis=-1)
    return ranks


def _paired(scores: Mapping[Key, ScoreMatrix]) -> list[ScoreMatrix]:
    """Keep only the runs that all methods have."""
    shapes = {name: np.shape(values) for name, values in scores.items()}
    if len(set(shapes.values())) != 1:
        raise ConfigurationError(
            f"the methods' scores are of shapes {shapes}: give each the same seeds and games, NaN "
            "for a run that is missing"
        )
    common = ~np.isnan(list(scores.values())).any(axis=0)
    kept = [np.where(common, values, np.nan) for values in scores.values()]
    _check(kept[0], of=f" that {', '.join(map(str, scores))} all have")
    return kept


def _check(scores: ScoreMatrix, of: str = "") -> None:
    if np.ndim(scores) != 2:
        raise ConfigurationError(f"scores are of shape {np.shape(scores)}, not [runs, games]")
    if empty := np.flatnonzero(~_there(scores).any(axis=0)).tolist():
        raise ConfigurationError(f"no run{of} of games {empty}: leave them out")
