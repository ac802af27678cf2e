from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from lightning_stdim.errors import ConfigurationError
from lightning_stdim.report.statistics.aggregates import (
    PairedDifference,
    ScoreMatrix,
    average_ranks,
    bootstrap,
    interquartile_mean,
    mean,
    paired_difference,
    probability_of_improvement,
    reversals,
    verdict,
)

NAN = float("nan")
GAMES = st.integers(1, 4)


def scores(games: int) -> st.SearchStrategy[ScoreMatrix]:
    # Ties are common, and exact in sums too.
    values = st.integers(0, 16).map(lambda k: k / 16)
    return st.integers(1, 5).flatmap(lambda n: arrays(np.float64, (n, games), elements=values))


def ragged(scores: ScoreMatrix) -> list[ScoreMatrix]:
    """Each game's runs."""
    return [game[~np.isnan(game)] for game in scores.T]


def with_gaps(scores: ScoreMatrix) -> ScoreMatrix:
    """Take away later runs of some games, and put the gap in their first row."""
    thin = scores.copy()
    thin[1::2, ::2] = NAN
    return thin[::-1]


@given(GAMES.flatmap(scores))
def test_aggregates_are_scipys(values: ScoreMatrix) -> None:
    for some in (values, with_gaps(values)):
        pooled = some[~np.isnan(some)]
        assert mean(some) == pytest.approx(np.mean([game.mean() for game in ragged(some)]))
        assert interquartile_mean(some) == pytest.approx(stats.trim_mean(pooled, 0.25))


@given(GAMES.flatmap(lambda games: st.tuples(scores(games), scores(games))))
def test_probability_of_improvement_is_scipys(pair: tuple[ScoreMatrix, ScoreMatrix]) -> None:
    a, b = with_gaps(pair[0]), pair[1]
    expected = np.mean(
        [
            stats.mannwhitneyu(x, y).statistic / (len(x) * len(y))
            for x, y in zip(ragged(a), ragged(b), strict=True)
        ]
    )
    assert probability_of_improvement(a, b) == pytest.approx(expected)
    assert probability_of_improvement(b, a) == pytest.approx(1 - expected)


# Games of two and of three runs, with a gap.
A = np.array([[0.1, NAN], [0.5, 0.9], [NAN, 0.2], [NAN, 0.7]])
B = np.array([[0.3, 0.6], [0.2, 0.4]])


def resamples(sample: ScoreMatrix) -> list[list[ScoreMatrix]]:
    """List what the stratified bootstrap may draw, each as likely as the others."""
    drawn = [
        [np.array(runs) for runs in product(game, repeat=len(game))] for game in ragged(sample)
    ]
    return [list(games) for games in product(*drawn)]


def slow_mean(games: list[ScoreMatrix]) -> float:
    return float(np.mean([np.mean(game) for game in games]))


def slow_interquartile_mean(games: list[ScoreMatrix]) -> float:
    return float(stats.trim_mean(np.concatenate(games), 0.25))


def slow_probability(a: list[ScoreMatrix], b: list[ScoreMatrix]) -> float:
    wins = [
        np.mean([(x > y) + (x == y) / 2 for x in xs for y in ys])
        for xs, ys in zip(a, b, strict=True)
    ]
    return float(np.mean(wins))


@pytest.mark.parametrize(
    ("fast", "slow", "samples"),
    [
        (mean, slow_mean, [A]),
        (interquartile_mean, slow_interquartile_mean, [A]),
        (probability_of_improvement, slow_probability, [A, B]),
    ],
)
def test_bootstrap_is_the_distribution_over_all_resamples(
    fast: Callable[..., Any], slow: Callable[..., float], samples: list[ScoreMatrix]
) -> None:
    values = [slow(*drawn) for drawn in product(*map(resamples, samples))]
    got = bootstrap(fast, *samples, level=0.8, resamples=20_000)
    assert got.value == pytest.approx(slow(*map(ragged, samples)))
    # The draws miss a percentile of the true distribution by less than a hundredth of its mass.
    for bound, share in ((got.low, 0.1), (got.high, 0.9)):
        assert np.quantile(values, share - 0.01) - 1e-9 <= bound
        assert bound <= np.quantile(values, share + 0.01) + 1e-9


def test_bootstrap_is_reproducible_and_needs_two_runs_of_every_game() -> None:
    many = np.random.default_rng(0).random((9, 3))
    assert bootstrap(mean, many) == bootstrap(mean, many)
    assert bootstrap(mean, many, seed=1) != bootstrap(mean, many)
    for samples in ([A[1:]], [B, A[1:]]):
        statistic = mean if len(samples) == 1 else probability_of_improvement
        got = bootstrap(statistic, *samples)
        assert not got.known
        assert f"{got}" == f"{got.value:.2f}, no interval"


@given(GAMES.flatmap(scores))
def test_ranks_are_scipys(first: ScoreMatrix) -> None:
    methods = {"a": first, "b": first[::-1], "c": 1 - first, "d": np.round(first)}
    means = np.array([values.mean(axis=0) for values in methods.values()])
    expected = stats.rankdata(-means, axis=0).mean(axis=1)
    got = average_ranks(methods, resamples=10)
    assert [rank.value for rank in got.values()] == pytest.approx(expected)


def test_ranks_are_of_common_seeds_and_resampled_together() -> None:
    # Within a seed a is always ahead, far as the seeds are apart.
    a = np.array([[0.2, 0.8], [0.5, 0.1], [0.9, NAN], [0.0, 0.6]])
    methods = {"b": a - 0.01, "a": a, "c": np.where(np.isnan(a), 1.0, a - 0.02)}
    got = average_ranks(methods)
    assert [(rank.low, rank.value, rank.high) for rank in got.values()] == [
        (2, 2, 2),
        (1, 1, 1),
        (3, 3, 3),
    ]
    swapped = {"a": A[:, :1], "b": A[::-1, :1]}
    with pytest.raises(ConfigurationError, match=r"no run that a, b all have of games \[0\]"):
        average_ranks(swapped)


def test_bootstrap_of_ranks() -> None:
    a, b = np.array([[1, 5], [4, 2]]) / 8, np.array([[2, 4], [3, 4]]) / 8
    draws = [  # the same runs of both methods
        [values[list(rows), [0, 0, 1, 1]] for values in (a, b)]
        for rows in product(range(2), repeat=4)
    ]
    ranks = []
    for x, y in draws:
        means = np.array([x.reshape(2, 2).mean(axis=1), y.reshape(2, 2).mean(axis=1)])
        ranks.append(stats.rankdata(-means, axis=0).mean(axis=1)[0])
    got = average_ranks({"a": a, "b": b}, level=0.7, resamples=20_000)["a"]
    assert got.low == pytest.approx(np.quantile(ranks, 0.15, method="inverted_cdf"))
    assert got.high == pytest.approx(np.quantile(ranks, 0.85, method="inverted_cdf"))


def test_paired_difference_of_one_game_is_scipys() -> None:
    a, b = np.array([0.5, 0.7, NAN, 0.65, 0.3]), np.array([0.4, 0.72, 0.1, 0.5, NAN])
    got = paired_difference(a[:, None], b[:, None], level=0.9)
    both = [0, 1, 3]
    expected = stats.ttest_rel(a[both], b[both]).confidence_interval(0.9)
    assert (got.low, got.high) == (pytest.approx(expected.low), pytest.approx(expected.high))
    assert (got.ahead, got.behind, got.seeds) == (2, 1, (3,))
    assert not got.resolved


def test_paired_difference_over_games_with_a_single_seed_is_scipys() -> None:
    a = np.array([[0.5, 0.7, 0.2, 0.6], [0.6, NAN, 0.4, 0.8]])
    b = np.array([[0.4, 0.5, 0.2, 0.3], [0.4, NAN, 0.1, 0.4]])
    got = paired_difference(a, b, level=0.9)
    games = [np.nanmean(a[:, g]) - np.nanmean(b[:, g]) for g in range(4)]
    expected = stats.ttest_1samp(games, 0).confidence_interval(0.9)
    assert (got.low, got.high) == (pytest.approx(expected.low), pytest.approx(expected.high))
    assert got.value == pytest.approx(np.mean(games))
    assert (got.ahead, got.behind, got.seeds) == (6, 0, (2, 1, 2, 2))


def test_a_shared_spread_of_seeds_does_not_hide_a_difference() -> None:
    seeds = np.array([[0.2], [0.5], [0.9]])
    a, b = seeds + np.array([[0.010], [0.012], [0.011]]), seeds
    assert paired_difference(a, b).resolved
    assert bootstrap(probability_of_improvement, a, b).low < 0.5


def test_student_covers_and_the_bootstrap_of_three_seeds_does_not() -> None:
    random = np.random.default_rng(0)
    worlds = random.normal(size=(600, 3, 4)) * [0.1, 0.2, 0.2, 0.4]  # the true mean is 0
    student = [paired_difference(world, np.zeros_like(world)) for world in worlds]
    percentile = [bootstrap(mean, world, resamples=300) for world in worlds]
    covered = [np.mean([one.low < 0 < one.high for one in some]) for some in (student, percentile)]
    assert 0.93 < covered[0] < 0.98
    assert covered[1] < 0.9


def difference(values: list[list[float]]) -> PairedDifference:
    array = np.array(values)
    return paired_difference(array, np.zeros_like(array))


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (
            [[0.10], [0.12], [0.14]],
            "A is ahead of B: +0.12 [0.07, 0.17], in 3 of 3 seeds",
        ),
        (
            [[-0.10], [-0.12], [-0.14]],
            "B is ahead of A: +0.12 [0.07, 0.17], in 3 of 3 seeds",
        ),
        (
            [[-0.05], [0.05], [0.03]],
            "A against B is not resolved by 3 seeds: +0.01 [-0.12, 0.14], A ahead in 2 of 3 seeds",
        ),
        (
            [[0.10]],
            "A against B is not resolved by 1 seed: +0.10, no interval, A ahead in 1 of 1 seed",
        ),
        (
            [[0.10]] * 3,
            "A against B cannot be judged: the difference is +0.10 in all 3 seeds, so there is no "
            "spread to judge by",
        ),
        ([[0.0]] * 3, "A and B have the same score in 3 seeds: a tie"),
        (
            [[0.10, 0.12, 0.14]],
            "A is ahead of B: +0.12 [0.07, 0.17] over 3 games, in 3 of 3 runs",
        ),
        (
            [[0.10, -0.01], [0.12, NAN], [0.14, 0.01]],
            "A is ahead of B: +0.06 [0.04, 0.08] over 2 games, in 4 of 5 runs",
        ),
        (
            [[-0.3, -0.1], [0.3, 0.1], [0.0, NAN]],
            "A against B is not resolved by 2 to 3 seeds: +0.00 [-0.32, 0.32] over 2 games, "
            "A ahead in 2 of 5 runs",
        ),
    ],
)
def test_verdicts(values: list[list[float]], words: str) -> None:
    assert verdict("A", "B", difference(values)) == words


def test_reversals() -> None:
    first = {"a": 0.9, "b": 0.5, "c": 0.5, "d": 0.1, "only here": 1.0}
    second = {"a": 0.2, "b": 0.3, "c": 0.1, "d": 0.4, "only there": 0.0}
    assert reversals(first, second) == [("a", "b"), ("a", "d"), ("b", "d"), ("c", "d")]
    assert reversals(first, first) == []


def test_wrong_input() -> None:
    with pytest.raises(ConfigurationError, match=r"shape \(3,\), not \[runs, games\]"):
        bootstrap(mean, np.ones(3))
    with pytest.raises(ConfigurationError, match=r"no run of games \[1\]"):
        bootstrap(mean, np.array([[0.5, NAN], [0.6, NAN]]))
    with pytest.raises(ConfigurationError, match=r"'a': \(2, 1\), 'b': \(3, 1\)"):
        paired_difference(np.ones((2, 1)), np.ones((3, 1)))
    with pytest.raises(ConfigurationError, match="not \\[runs, games\\]"):
        paired_difference(np.ones(2), np.ones(2))
