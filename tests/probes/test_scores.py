import math
from dataclasses import replace

import pytest
import torch
from scipy import stats

from lightning_stdim.probes.scores import aggregate, label_entropies
from tests.probes.games import game


def test_variables_count_in_none_one_or_two_categories() -> None:
    scores = aggregate(
        {"a": 0.2, "b": 0.4, "c": 0.9, "d": 0.1},
        {
            "a": ("agent_localization",),
            "b": ("agent_localization", "misc_keys"),
            "c": ("misc_keys",),
            "d": (),
        },
        {"a": 1.0, "b": 0.5, "c": 0.0, "d": 2.5},
    )
    assert scores["variables"] == {"a": 0.2, "b": 0.4, "c": 0.9, "d": 0.1}
    assert scores["categories"] == pytest.approx({"agent_localization": 0.3, "misc_keys": 0.65})
    assert list(scores["categories"]) == ["agent_localization", "misc_keys"]  # the paper's order
    assert scores["mean_over_categories"] == pytest.approx((0.3 + 0.65) / 2)
    assert scores["mean_over_variables"] == pytest.approx(0.4)
    assert scores["mean_weighted_by_entropy"] == pytest.approx((0.2 + 0.4 * 0.5 + 0.1 * 2.5) / 4)


def test_no_category_has_no_mean() -> None:
    scores = aggregate({"a": 0.5}, {"a": ()}, {"a": 0.0})
    assert scores["categories"] == {}
    assert scores["mean_over_categories"] is None
    assert scores["mean_over_variables"] == 0.5
    assert scores["mean_weighted_by_entropy"] is None


def test_an_easy_variable_that_hardly_varies_counts_little() -> None:
    values = {"easy": 1.0} | {f"hard{k}": 0.2 for k in range(5)}
    categories = {
        name: ("misc_keys" if name == "easy" else "agent_localization",) for name in values
    }
    data = replace(
        game(),
        variables=tuple(values),
        categories=categories,
        labels=torch.stack([torch.arange(400) % 10 == 0, *[torch.arange(400) % 100] * 5], 1).long(),
    )
    scores = aggregate(values, categories, label_entropies(data))
    assert scores["mean_over_categories"] == pytest.approx(0.6)
    easy = stats.entropy([0.1, 0.9])
    expected = (easy + 0.2 * 5 * math.log(100)) / (easy + 5 * math.log(100))
    assert scores["mean_weighted_by_entropy"] == pytest.approx(expected)
    assert expected < 0.22
