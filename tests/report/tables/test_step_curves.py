"""Means, paired gains and the first step that stays ahead, against SciPy and by hand."""

import numpy as np
import pytest
from scipy import stats

from lightning_stdim.errors import ConfigurationError
from lightning_stdim.report.names import Entry
from lightning_stdim.report.tables.comparison import Row
from lightning_stdim.report.tables.step_curves import ahead_from, gain, mean, step_curves
from tests.report.probed import key, probed

PLAYER = Row("variable", "player_y", "player_y")


def test_runs_of_different_presets_are_no_seeds_of_one(make_result):
    found = step_curves(
        one
        for seed, preset in enumerate(("laptop", "laptop-bf16"))
        for one in probed(make_result, key(seed), {0: (0.1,) * 3, 8: (0.2,) * 3}, preset=preset)
    )
    assert [curve.entry.variant for curve in found] == ["preset=laptop", "preset=laptop-bf16"]
    assert [curve.seeds for curve in found] == [[0], [1]]


def test_gains_are_paired_within_seeds(make_result):
    rng = np.random.default_rng(0)
    before, after = rng.uniform(size=(4, 3)), rng.uniform(size=(4, 3))
    encoders = [
        one
        for seed in range(4)
        for one in probed(make_result, key(seed), {0: before[seed], 10: after[seed]})
    ]
    (curve,) = step_curves(encoders)

    def headline(scores):  # ball_x and ball_y share a category
        return (scores[:, :2].mean(1) + scores[:, 2]) / 2

    for row, old, new in (
        (curve.headline, headline(before), headline(after)),
        (PLAYER, before[:, 2], after[:, 2]),
    ):
        found = gain(curve, curve.snapshots[10], row)
        low, high = stats.ttest_rel(new, old).confidence_interval(0.95)
        assert found.mean == pytest.approx((new - old).mean())
        assert found.mean - found.half_width == pytest.approx(low)
        assert found.mean + found.half_width == pytest.approx(high)
        found = mean(curve.snapshots[10], row)
        low, high = stats.ttest_1samp(new, 0).confidence_interval(0.95)
        assert (found.mean, found.half_width) == pytest.approx((new.mean(), (high - low) / 2))


def test_a_step_that_some_seeds_lack_is_paired_with_those_that_have_it(make_result):
    long = {0: (0.1,) * 3, 10: (0.3,) * 3, 20: (0.7,) * 3}
    short = {0: (0.5,) * 3, 10: (0.6,) * 3}
    (curve,) = step_curves(
        [*probed(make_result, key(0), long), *probed(make_result, key(1), short)]
    )
    found = gain(curve, curve.snapshots[20], curve.headline)
    assert (found.mean, found.half_width, found.runs) == (pytest.approx(0.6), None, 1)
    assert gain(curve, curve.snapshots[10], curve.headline).mean == pytest.approx(0.15)
    assert curve.last_steps == [10, 20]


@pytest.mark.parametrize(
    ("gains", "first"),
    [
        ([0.1, 0.2, 0.3], 1),
        ([0.1, -0.1, 0.3], 3),  # ahead at step 1, but not to stay
        ([-0.1, 0.0, 0.3], 3),
        ([0.1, 0.2, 0.0], None),
        ([-0.1, -0.2, -0.3], None),
    ],
)
def test_the_first_step_that_stays_ahead(gains, first, make_result):
    f1 = {0: (0.5,) * 3} | {k: (0.5 + g,) * 3 for k, g in enumerate(gains, start=1)}
    (curve,) = step_curves(probed(make_result, key(), f1))
    assert ahead_from(curve, curve.headline) == first
    assert ahead_from(curve, curve.headline, resolved=True) is None  # one seed has no interval


def test_resolved_is_when_the_interval_is_above_zero(make_result):
    gains = {1: (0.01, 0.3), 2: (0.2, 0.21), 3: (0.3, 0.31)}  # with a wide interval at first
    encoders = [
        one
        for seed in range(2)
        for one in probed(
            make_result,
            key(seed),
            {0: (0.1,) * 3} | {step: (0.1 + both[seed],) * 3 for step, both in gains.items()},
        )
    ]
    alone = probed(make_result, key(2), {0: (0.1,) * 3, 1: (0.2,) * 3, 9: (0.9,) * 3})
    (curve,) = step_curves([*encoders, *alone])
    assert ahead_from(curve, curve.headline) == 1
    assert ahead_from(curve, curve.headline, resolved=True) == 2


def test_curves_are_ordered_as_tables_are_and_steps_ascend(make_result):
    f1 = {8: (0.5,) * 3, 0: (0.1,) * 3, 2: (0.3,) * 3}
    both = ("converged", "paper")
    encoders = [
        one
        for game in ("pong", "boxing")
        for method in ("mine.Mine", "st-dim", "vae")
        for one in probed(
            make_result, key(game=game, method=method), f1, kept=(9, (0.6,) * 3), protocols=both
        )
    ]
    curves = step_curves(encoders)
    assert [(one.game, one.protocol, one.entry) for one in curves] == [
        (game, protocol, Entry(method))
        for game in ("boxing", "pong")
        for protocol in ("paper", "converged")
        for method in ("vae", "st-dim", "mine.Mine")
    ]
    assert list(curves[0].snapshots) == [2, 8]
    assert curves[0].kept_steps == {0: 9}


def test_what_does_not_compare_is_refused(make_result):
    f1 = {0: (0.1,) * 3, 5: (0.3,) * 3}
    first = probed(make_result, key(0), f1)
    with pytest.raises(ConfigurationError, match="two of the runs are pong st-dim seed 0"):
        step_curves([*first, *probed(make_result, key(0), f1)])
    budget = {"probe_frames": 6000}
    fewer = probed(make_result, key(1), f1, budget=budget)
    with pytest.raises(ConfigurationError, match="number of probe frames 8000 and 6000"):
        step_curves([*first, *fewer])
    # Another game may be probed on another number of frames.
    step_curves([*first, *probed(make_result, key(game="boxing"), f1, budget=budget)])
    labels = probed(make_result, key(1), f1)
    for one in labels:
        one.results["scores"]["label_set"] = "upstream"
    with pytest.raises(ConfigurationError, match="label set paper 1 and upstream 1"):
        step_curves([*first, *labels])
    wide = probed(make_result, key(1), f1)
    for one in (*first, *wide):
        one.results["scores"]["settings"] = {"paper": {"hidden": 64 * (one in wide)}}
    with pytest.raises(ConfigurationError, match=r"paper\.hidden 0 and 64"):
        step_curves([*first, *wide])
