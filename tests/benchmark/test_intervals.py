from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from lightning_stdim.benchmark.intervals import estimate



@given(st.lists(st.floats(0, 1), min_size=2, max_size=12), st.sampled_from([0.5, 0.9, 0.95, 0.99]))
def test_interval_is_scipys(values: list[float], level: float) -> None:
    got = estimate(values, level=level)
    spread = stats.sem(values)
    assert got.mean == pytest.approx(sum(values) / len(values), abs=1e-12)
    assert got.runs == len(values)
    expected = stats.t.ppf(0.5 + level / 2, len(values) - 1) * spread
    assert got.half_width == pytest.approx(expected, rel=1e-6, abs=1e-9)


def test_one_value_has_no_interval() -> None:
    got = estimate([0.7])
    assert (got.mean, got.half_width, got.runs) == (0.7, None, 1)


def test_out_of_range() -> None:
    with pytest.raises(ValueError, match="no values"):
        estimate([])
