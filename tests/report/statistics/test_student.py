from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from lightning_stdim.report.statistics.student import mean_with_ci, stratified_mean_with_ci

LEVELS = st.sampled_from([0.5, 0.9, 0.95, 0.99])
# Whole hundredths: differences are never so small that rounding decides.
SEEDS = st.lists(st.integers(0, 100).map(lambda k: k / 100), min_size=2, max_size=12)


@given(SEEDS, LEVELS)
def test_one_game_is_scipys_t(values: list[float], level: float) -> None:
    got = mean_with_ci(values, level=level)
    assert got.mean == pytest.approx(sum(values) / len(values), abs=1e-12)
    assert got.runs == len(values)
    if len({*values}) == 1:
        assert got.half_width is None
        return
    expected = stats.t.ppf(0.5 + level / 2, len(values) - 1) * stats.sem(values)
    assert got.half_width == pytest.approx(expected, rel=1e-6, abs=1e-9)


@pytest.mark.filterwarnings("ignore:Precision loss")  # SciPy's, for equal values
@given(SEEDS, SEEDS, LEVELS)
def test_two_games_are_scipys_welch(first: list[float], second: list[float], level: float) -> None:
    got = stratified_mean_with_ci([first, second], level=level)
    assert got.runs == len(first) + len(second)
    if len({*first}) == len({*second}) == 1:
        assert got.half_width is None
        return
    # The mean of two means is half the difference of one and the other's negative.
    welch = stats.ttest_ind(first, [-value for value in second], equal_var=False)
    low, high = welch.confidence_interval(level)
    assert got.mean == pytest.approx((low + high) / 4, abs=1e-9)
    assert got.half_width == pytest.approx((high - low) / 4, rel=1e-6, abs=1e-9)


def test_a_single_run_has_no_interval() -> None:
    got = mean_with_ci([0.7])
    assert (got.mean, got.half_width, got.runs) == (0.7, None, 1)
    got = stratified_mean_with_ci([[0.7], [0.1, 0.2]])
    assert (got.mean, got.half_width, got.runs) == (pytest.approx(0.425), None, 3)


def test_equal_scores_have_no_interval() -> None:
    assert mean_with_ci([0.7] * 3).half_width is None
    assert mean_with_ci([0.1 + 0.2, 0.3, 0.3]).half_width is None  # but for rounding
    assert mean_with_ci([0.7, 0.7, 0.7001]).half_width is not None
    assert stratified_mean_with_ci([[0.7] * 3, [0.1] * 2]).half_width is None
    assert stratified_mean_with_ci([[0.7] * 3, [0.1, 0.2]]).half_width is not None


def test_nothing_to_average() -> None:
    with pytest.raises(ValueError, match="no values"):
        mean_with_ci([])
    with pytest.raises(ValueError, match="no values"):
        stratified_mean_with_ci([])
    with pytest.raises(ValueError, match="no values"):
        stratified_mean_with_ci([[0.5], []])
