"""The numbers here were typed from the papers, not taken from our file."""

from __future__ import annotations

import pytest

from lightning_stdim.datamodules.labels.annotations import CATEGORIES
from lightning_stdim.datamodules.labels.games import games
from lightning_stdim.report.names import game_title
from lightning_stdim.report.published import (
    citations,
    paper,
    paper_category,
    report,
    reproduction,
    reproduction_category,
)


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


REPRODUCED = {
    "Asteroids": 0.45, "Berzerk": 0.51, "Bowling": 0.97, "Boxing": 0.66, "Breakout": 0.89,
    "Demon Attack": 0.70, "Freeway": 0.81, "Frostbite": 0.73, "H.E.R.O.": 0.94,
    "Montezuma's Revenge": 0.81, "Ms. Pac-Man": 0.72, "Pitfall": 0.59, "Pong": 0.84,
    "Private Eye": 0.90, "Q*bert": 0.72, "River Raid": 0.35, "Seaquest": 0.65,
    "Space Invaders": 0.61, "Tennis": 0.63, "Venture": 0.60, "Video Pinball": 0.69,
    "Yars' Revenge": 0.44,
}  # fmt: skip


def test_the_reproductions_games() -> None:
    found = {game_title(game): reproduction(game, "st-dim") for game in games("paper")}
    means = {title: one.scores["mean_over_categories"] for title, one in found.items()}
    assert means == REPRODUCED
    assert sum(means.values()) / 22 == pytest.approx(0.69, abs=0.006)  # its headline
    # It is near the paper's, game by game, as no other order of the games would be.
    for game in games("paper"):
        theirs = paper(game, "st-dim").scores["mean_over_categories"]
        assert means[game_title(game)] == pytest.approx(theirs, abs=0.085)
    assert {one.split for one in found.values()} == {"test"}
    assert "GabrielAlacchi/atari-ari-extensions" in found["Pong"].sources[0]


def test_the_reproduction_has_st_dim_and_f1_alone() -> None:
    assert reproduction("pong", "random-cnn") is None
    assert reproduction("pong", "st-dim", metric="accuracy") is None
    assert reproduction("skiing", "st-dim") is None
    scores = reproduction("pong", "st-dim").scores
    assert scores["variables"] == scores["categories"] == {}


def test_the_reproductions_categories() -> None:
    found = [reproduction_category(category, "st-dim") for category in CATEGORIES]
    assert found == [0.53, 0.60, 0.69, 0.90, 0.75]  # small, agent, other, score, misc
    assert reproduction_category("misc_keys", "cpc") is None


def test_the_reports_supervised_scores_are_validation_scores() -> None:
    for metric in ("f1", "accuracy"):
        splits = {m: report("pong", m, metric=metric).split for m in ("random-cnn", "st-dim")}
        assert set(splits.values()) == {"test"}
        assert report("pong", "supervised", metric=metric).split == "validation"


def test_every_source_is_cited() -> None:
    found = citations()
    assert "arXiv 1906.08226" in found["paper"]
    assert "NeurIPS 2019 Reproducibility Challenge" in found["report"]
    assert "Alacchi" in found["reproduction"]
