"""What a collection is made from: its checks, its file's name and its command."""

from dataclasses import FrozenInstanceError, replace
from pathlib import Path

import numpy as np
import pytest

from lightning_stdim.cli import main
from lightning_stdim.datamodules.atari import AtariDataModule
from lightning_stdim.datamodules.collection.settings import CollectionSettings
from lightning_stdim.errors import ConfigurationError


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({}, "pong-random-seed0-100000.h5"),
        ({"game": "ALE/MsPacman-v5", "steps": 7}, "mspacman-random-seed0-7.h5"),
        ({"seed": 3, "policy": "sticky-random"}, "pong-sticky-random-seed3-100000.h5"),
        ({"epsilon": 0.2}, "pong-random-eps0.2-seed0-100000.h5"),
        ({"epsilon": 1}, "pong-random-eps1.0-seed0-100000.h5"),
        ({"pixels": "rgb", "mode": 0}, "pong-random-seed0-100000-rgb-mode0.h5"),
        ({"mode": 1, "difficulty": 2}, "pong-random-seed0-100000-mode1-difficulty2.h5"),
        ({"environment": "paper"}, "pong-random-seed0-100000.h5"),
        ({"environment": "challenge"}, "pong-random-seed0-100000-challenge.h5"),
        (
            {"environment": "challenge-v0", "mode": 1, "label_set": "upstream"},
            "pong-random-seed0-100000-mode1-challenge-v0-upstream.h5",
        ),
        ({"label_set": "paper"}, "pong-random-seed0-100000.h5"),
        ({"label_set": "upstream"}, "pong-random-seed0-100000-upstream.h5"),
        ({"game": "skiing", "label_set": "upstream"}, "skiing-random-seed0-100000.h5"),
        (
            {"policy": "agent.zip", "greedy": True, "epsilon": 0.05, "pixels": "rgb"},
            "pong-agent-2d711642-eps0.05-greedy-seed0-100000-rgb.h5",
        ),
    ],
)
def test_files_are_called_what_they_always_were(settings, name, tmp_path, monkeypatch):
    """Collections that were made before must be found, not made again."""
    monkeypatch.chdir(tmp_path)
    Path("agent.zip").write_bytes(b"x")  # its SHA-256 begins with 2d711642
    assert CollectionSettings(**settings).file_name() == name


def test_one_spelling():
    one = CollectionSettings("MsPacmanNoFrameskip-v4", steps=np.int64(9), mode=np.uint8(1))
    assert one == CollectionSettings("mspacman", steps=9, mode=1, label_set="paper")
    assert (type(one.steps), type(one.mode)) == (int, int)
    with pytest.raises(FrozenInstanceError):
        one.steps = 10


@pytest.mark.parametrize(
    "settings",
    [
        CollectionSettings("breakout", steps=3),
        CollectionSettings(
            "breakout",
            steps=4,
            seed=5,
            policy="sticky-random",
            epsilon=0.1,
            pixels="rgb",
            mode=12,
            difficulty=1,
            environment="challenge-v0",
            label_set="upstream",
        ),
    ],
)
def test_the_command_makes_the_file(settings, tmp_path):
    program, argv = ["python", "-m", "lightning_stdim"], settings.command().split()
    assert argv[:3] == program
    assert main([*argv[3:], "--root", str(tmp_path), "--workers", "1"]) == 0
    assert (tmp_path / settings.file_name()).is_file()


def test_options_have_the_class_s_defaults_and_a_switch_needs_no_value(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["collect", "--steps", "2"]) == 0
    assert (Path("data") / CollectionSettings(steps=2).file_name()).is_file()
    assert main(["collect", "--greedy"]) == 2  # reached the check: only an agent can be greedy


def test_the_stages_of_a_data_module():
    data = AtariDataModule("Breakout", steps=10, probe_steps=20, seed=3, label_set="upstream")
    pretrain = data.collection("pretrain")
    assert pretrain == CollectionSettings("breakout", steps=10, seed=3)
    assert data.collection("probe") == replace(pretrain, steps=20, seed=1_000_003)


def test_a_wrong_value_is_refused_where_it_is_given():
    with pytest.raises(ConfigurationError, match=r"epsilon=2 must lie in 0\.\.1"):
        replace(CollectionSettings(), epsilon=2)
