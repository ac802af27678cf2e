"""The annotations, and what is computed from them."""

import hashlib
import json
import math
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import entropy as scipy_entropy

import lightning_stdim
from lightning_stdim.datamodules.labels.annotations import (
    CATEGORIES,
    annotation,
    probed_in_paper,
    ram2label,
)
from lightning_stdim.datamodules.labels.entropy_filter import entropy, scored
from lightning_stdim.datamodules.labels.games import canonical_game, default_label_set, games
from lightning_stdim.errors import ConfigurationError

FACTS = json.loads(
    files("lightning_stdim.datamodules.labels").joinpath("annotations.json").read_text()
)
SOURCE = Path(__file__).parents[4] / "shared" / "data" / "atariari_annotations.json"


def test_the_facts_are_the_ones_that_were_written_down():
    facts = {key: FACTS[key] for key in ("paper", "upstream", "probed_in_paper")}
    digest = hashlib.sha256(json.dumps(facts, separators=(",", ":")).encode()).hexdigest()
    assert digest == "8a0e4c797e6d329d41e68248e35a2ab83c02bcfd5164a0f33d027a44a0c83108"


@pytest.mark.skipif(
    not SOURCE.exists(), reason="the source of the facts is not beside the checkout"
)
def test_the_facts_are_the_source_s():
    source = json.loads(SOURCE.read_text())
    for key in ("paper", "upstream", "probed_in_paper"):
        assert source[key] == FACTS[key]


@pytest.mark.parametrize(
    ("label_set", "n_games", "n_labels"), [("paper", 22, 308), ("upstream", 24, 362)]
)
def test_every_label_has_a_byte_and_known_categories(label_set, n_games, n_labels):
    annotations = [annotation(game, label_set) for game in games(label_set)]
    assert len(annotations) == n_games
    assert sum(len(a.variables) for a in annotations) == n_labels
    for a in annotations:
        assert len(a.codes) == len(a.variables) == len(set(a.variables)) == len(a.categories)
        assert a.version == FACTS["versions"][label_set] >= 1
        a.check_bytes()
        for categories in a.categories.values():
            assert len(categories) <= 2
            assert set(categories) <= set(CATEGORIES)


def test_pong():
    pong = annotation("Pong")
    assert set(pong.variables) >= {"player_y", "enemy_y", "ball_x", "ball_y"}
    assert pong.categories["ball_x"] == ("small_object_localization",)


@pytest.mark.parametrize("agent", ["random_agent", "ppo_agent"])
def test_what_the_paper_probed_is_annotated(agent):
    for game in games("paper"):
        assert set(probed_in_paper(game, agent)) <= set(annotation(game, "paper").variables)
        assert probed_in_paper(game, agent)


@pytest.mark.parametrize(
    "name",
    [
        "mspacman",
        "MsPacman",
        "ms_pacman",
        "Ms. Pacman",
        "ALE/MsPacman-v5",
        "MsPacmanNoFrameskip-v4",
    ],
)
def test_any_spelling_of_a_game(name):
    assert canonical_game(name) == "mspacman"


def test_every_canonical_name_is_its_own():
    assert [canonical_game(game) for game in games("upstream")] == list(games("upstream"))


def test_an_unknown_game_suggests_the_nearest():
    with pytest.raises(
        ConfigurationError, match="'pingpong' is not annotated: did you mean 'pong'"
    ):
        canonical_game("pingpong")


@pytest.mark.parametrize("name", ["", "nonsense", "CartPole-v1"])
def test_a_name_like_no_game_s_gets_the_list_alone(name):
    with pytest.raises(
        ConfigurationError, match=r"annotated\. The annotated games are asteroids, "
    ):
        canonical_game(name)


def test_a_game_outside_a_label_set_names_the_set_that_has_it():
    missing = set(games("upstream")) - set(games("paper"))
    assert len(missing) == 2
    for game in missing:
        assert default_label_set(game) == "upstream"
        with pytest.raises(ConfigurationError, match="use label set 'upstream'"):
            annotation(game, "paper")
    with pytest.raises(ConfigurationError, match="label set 'mine' is unknown"):
        annotation("pong", "mine")


@pytest.mark.parametrize("shape", [(), (5,), (2, 3), (0,)])
@pytest.mark.parametrize(("name", "game"), [("pong", "pong"), ("MsPacman", "mspacman")])
def test_labels_are_bytes_of_the_ram(shape, name, game):
    ram = np.random.default_rng(0).integers(0, 256, (*shape, 128), dtype=np.uint8)
    labels = ram2label(name, ram)
    facts = FACTS["paper"][game]
    assert labels.dtype == np.int64
    assert labels.shape == (*shape, len(facts))
    for column, variable in enumerate(annotation(name).variables):
        assert (labels[..., column] == ram[..., facts[variable]["ram"]]).all()


@pytest.mark.parametrize(
    ("ram", "message"),
    [
        (np.zeros((5, 127), np.uint8), r"of shape \(5, 127\): expected uint8 \[\.\.\., 128\]"),
        (np.zeros((), np.uint8), r"shape \(\)"),
        (np.zeros(128), "ram is float64 of shape"),
    ],
)
def test_what_is_no_ram_is_refused(ram, message):
    with pytest.raises(ConfigurationError, match=message):
        ram2label("pong", ram)


def test_labels_of_a_game_that_only_upstream_has():
    (game, *_) = set(games("upstream")) - set(games("paper"))
    ram = np.arange(128, dtype=np.uint8)
    bytes_of = [entry["ram"] for entry in FACTS["upstream"][game].values()]
    assert ram2label(game, ram).tolist() == bytes_of


def test_it_is_at_the_package_s_top_level():
    assert lightning_stdim.ram2label is ram2label


def test_entropy_is_in_nats():
    labels = np.random.default_rng(0).integers(0, 7, 1000)
    assert entropy(labels) == pytest.approx(scipy_entropy(np.bincount(labels)))
    assert entropy(np.arange(5)) == pytest.approx(math.log(5))
    assert entropy(np.zeros(3, np.int64)) == 0.0
    with pytest.raises(ConfigurationError):
        entropy(np.array([], np.int64))


def test_the_filter_keeps_what_varies_and_says_why_not():
    half = np.array([0, 1] * 4)
    labels = np.stack([half, np.full(8, 3), np.arange(8) == 0, np.arange(8)], axis=1)
    kept, dropped = scored(labels, ("even", "constant", "rare", "all"))
    assert kept == [0, 3]
    assert list(dropped) == ["constant", "rare"]
    assert dropped["constant"] == "entropy 0.000 nats is under 0.6"
    kept, _ = scored(labels, ("even", "constant", "rare", "all"), threshold=entropy(half))
    assert kept == [0, 3]  # a variable on the threshold is scored
