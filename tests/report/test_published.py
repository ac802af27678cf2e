"""The numbers here were typed from the papers, not taken from our file."""

from __future__ import annotations

import pytest

from lightning_stdim.datamodules.labels.annotations import CATEGORIES
from lightning_stdim.datamodules.labels.games import games
from lightning_stdim.report.published import paper, paper_category, report


@pytest.mark.parametrize(
    ("method", "f1", "accuracy"),
    [
        ("majority", 0.10, 0.20),
        ("random-cnn", 0.17, 0.26),
        ("st-dim", 0.81, 0.82),
        ("supervised", 0.87, 0.88),
    ],
)
def test_the_papers_pong(method: str, f1: float, accuracy: float) -> None:
    assert paper("pong", method).scores["mean_over_categories"] == f1
    assert paper("pong", method, metric="accuracy").scores["mean_over_categories"] == accuracy


@pytest.mark.parametrize(
    ("method", "f1", "accuracy"),
    [("random-cnn", 0.66, 0.64), ("st-dim", 0.65, 0.63), ("supervised", 0.61, 0.58)],
)
def test_the_reports_pong(method: str, f1: float, accuracy: float) -> None:
    for metric, mean in (("f1", f1), ("accuracy", accuracy)):
        found = report("pong", method, metric=metric)
        assert found.scores["mean_over_categories"] == mean
        categories = list(found.scores["categories"].values())
        # Its mean is that of its own four categories, up to rounding.
        assert sum(categories) / 4 == pytest.approx(mean, abs=0.011)
        assert found.derived == frozenset()


def test_derived_category_scores() -> None:
    found = paper("pong", "st-dim")
    assert found.scores["variables"]["ball_x"] == 0.81
    assert found.scores["variables"]["ball_y"] == 0.88
    assert found.scores["categories"] == pytest.approx(
        {
            "small_object_localization": 0.845,
            "agent_localization": 0.55,
            "other_localization": 0.85,
            "score_clock_lives_display": 0.995,
        }
    )
    assert found.derived == {"categories", "mean_over_variables"}
    # The derived categories lead back to the printed mean.
    assert sum(found.scores["categories"].values()) / 4 == pytest.approx(0.81, abs=0.011)
    assert "Table 2" in found.sources[0]


def test_every_game_of_the_paper() -> None:
    means = []
    for game in games("paper"):
        found = paper(game, "st-dim")
        assert set(found.scores["categories"]) <= set(CATEGORIES)
        assert all(0 <= value <= 1 for value in found.scores["variables"].values())
        means.append(found.scores["mean_over_categories"])
    assert sum(means) / 22 == pytest.approx(0.68, abs=0.006)  # the paper's headline


def test_accuracy_has_no_variables_in_the_paper() -> None:
    found = paper("pong", "st-dim", metric="accuracy")
    assert found.scores["variables"] == found.scores["categories"] == {}
    assert found.derived == frozenset()


def test_ablations_and_the_other_agent() -> None:
    assert paper("boxing", "global-t-dim").scores["mean_over_categories"] == 0.32
    assert paper("pong", "random-cnn", agent="ppo").scores["mean_over_categories"] == 0.10


def test_what_was_not_published_is_none() -> None:
    assert paper("skiing", "st-dim") is None
    assert paper("pong", "my-method") is None
    assert report("pong", "majority") is None
    assert report("breakout", "st-dim") is None


def test_the_papers_ppo_agent() -> None:
    """Tables 6 and 7 of the paper."""
    for method, mean in (("majority", 0.02), ("st-dim", 0.79), ("supervised", 0.87)):
        found = paper("pong", method, agent="ppo")
        assert found.scores["mean_over_categories"] == mean
        assert sum(found.scores["categories"].values()) / 4 == pytest.approx(mean, abs=0.011)
    assert paper("pong", "st-dim", metric="accuracy", agent="ppo") is None
    assert paper_category("agent_localization", "st-dim", agent="ppo") == 0.54
    assert paper_category("agent_localization", "st-dim") == 0.58
