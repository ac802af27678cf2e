"""The study of all games (studies/games.py) against input that is written down here."""

import importlib
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import entropy

from tests.datamodules.synthetic import make

BALL_X = 49  # its byte in Pong's RAM


@pytest.fixture
def study(monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).parent.parent / "studies")
    return importlib.import_module("games")


def played(*games, lengths=(70,)):
    """Make games of episodes with these lengths, each with its own values of ball_x, in turn."""
    collection = make([list(lengths)] * len(games))
    n = sum(lengths)
    for number, values in enumerate(games):
        collection.ram[number * n : (number + 1) * n, BALL_X] = np.resize(values, n)
    return collection


@pytest.mark.parametrize(("steps", "expected"), [(8, [3, 4, 1]), (7, [3, 4]), (12, [3, 4, 5])])
def test_the_episodes_of_a_shorter_collection(study, steps, expected):
    assert study.cut(np.array([3, 4, 5]), steps).tolist() == expected


def test_values_are_counted_by_game(study):
    collection = played([7], [1, 2], lengths=(65, 66))
    (sevens, ones_and_twos) = study.games_counts(collection, "ball_x", reference=False)
    assert (sevens[7], sevens.sum()) == (131, 131)
    assert (ones_and_twos[1], ones_and_twos[2], ones_and_twos.sum()) == (66, 65, 131)
    # The reference leaves out the shorter episode; of the longer one all but the first row count.
    (sevens, ones_and_twos) = study.games_counts(collection, "ball_x", reference=True)
    assert (sevens[7], sevens.sum()) == (65, 65)
    assert (ones_and_twos[1], ones_and_twos[2], ones_and_twos.sum()) == (33, 32, 65)


def test_chances_are_those_of_drawing_games_again(study):
    steady, varied = [0], [0, 1, 2, 3]
    values = np.resize(varied, 70)
    mixed = np.concatenate([np.zeros(70, int), values])
    assert entropy(np.bincount(mixed)) > 0.6  # so that only two steady games are under it
    found = study.difference([played(steady, varied)], "ball_x", kept=True)["all frames"]
    assert found["entropy_by_seed"] == pytest.approx([entropy(np.bincount(mixed))])
    assert found["chance_of_being_dropped"] == pytest.approx(1 / 4, abs=0.03)
    dropped = found["chance_of_being_dropped"]
    # The paper has it if none of seven methods' collections drops it.
    assert found["chance_of_the_paper_s_outcome"] == pytest.approx(1 - (1 - dropped) ** 7)
    other = study.difference([played(steady, varied)], "ball_x", kept=False)["all frames"]
    assert other["chance_of_the_paper_s_outcome"] == pytest.approx((1 - dropped) ** 7)


def test_games_of_all_seeds_are_drawn_from(study):
    collections = [played([0], [0]), played([0, 1, 2], [0, 1, 2])]
    found = study.difference(collections, "ball_x", kept=True)["all frames"]
    nearly_even = entropy([48, 46, 46])
    assert found["entropy_by_seed"] == pytest.approx([0.0, nearly_even])
    assert found["chance_of_being_dropped"] == pytest.approx(1 / 4, abs=0.03)  # both steady


def difference(all_frames, as_the_reference):
    return {
        reading: {"entropy_by_seed": [0.5, 0.625], "chance_of_the_paper_s_outcome": chance}
        for reading, chance in (("all frames", all_frames), ("as the reference", as_the_reference))
    }


def test_the_table_of_differences(study):
    record = {
        "game": "mspacman",
        "kept": ["enemy_sue_x", "fruit_y"],
        "differences": {
            "enemy_sue_x": difference(1.0, 1.0),
            "fruit_x": difference(0.05, 0.0),
            "fruit_y": difference(0.04, 0.05),
            "player_x": difference(0.04, 0.04),
        },
    }
    heading, _, *lines = study.differences_table([record, record]).splitlines()
    assert lines[:4] == lines[4:]
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines[:4]]
    assert {len(row) for row in rows} == {heading.count("|") - 1}
    assert [row[1] for row in rows] == [
        "`enemy_sue_x`, scored here only",
        "`fruit_x`, scored in the paper only",
        "`fruit_y`, scored here only",
        "`player_x`, scored in the paper only",
    ]
    assert rows[2][2:6] == ["0.50, 0.62", "0.04", "0.50, 0.62", "0.05"]
    named, varies, short_episodes, unexplained = (row[6] for row in rows)
    assert "names the byte `sue_x`" in named
    assert varies == "varies between collections, across the threshold"
    assert "once short episodes are left out" in short_episodes
    assert unexplained == "unexplained"
