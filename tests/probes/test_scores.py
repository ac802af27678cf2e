import pytest

from lightning_stdim.probes.scores import aggregate


def test_variables_count_in_none_one_or_two_categories() -> None:
    scores = aggregate(
        {"a": 0.2, "b": 0.4, "c": 0.9, "d": 0.1},
        {
            "a": ("agent_localization",),
            "b": ("agent_localization", "misc_keys"),
            "c": ("misc_keys",),
            "d": (),
        },
    )
    assert scores["variables"] == {"a": 0.2, "b": 0.4, "c": 0.9, "d": 0.1}
    assert scores["categories"] == pytest.approx({"agent_localization": 0.3, "misc_keys": 0.65})
    assert list(scores["categories"]) == ["agent_localization", "misc_keys"]  # the paper's order
    assert scores["mean_over_categories"] == pytest.approx((0.3 + 0.65) / 2)
    assert scores["mean_over_variables"] == pytest.approx(0.4)


def test_no_category_has_no_mean() -> None:
    scores = aggregate({"a": 0.5}, {"a": ()})
    assert scores["categories"] == {}
    assert scores["mean_over_categories"] is None
    assert scores["mean_over_variables"] == 0.5
