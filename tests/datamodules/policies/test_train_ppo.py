"""Training an agent: resuming, the record, and collecting with the result."""

import json
import signal
import tempfile
import zipfile

import numpy as np
import pytest
import torch
from matplotlib.axes import Axes
from stable_baselines3 import PPO

from lightning_stdim.cli import main
from lightning_stdim.datamodules.policies import train_ppo
from lightning_stdim.datamodules.store.hdf5 import read
from lightning_stdim.errors import ConfigurationError, StoreError
from lightning_stdim.utils.locks import exclusive_lock


@pytest.fixture(autouse=True)
def short_rollouts(monkeypatch):
    settings = {"n_envs": 2, "n_steps": 16, "batch_size": 16, "n_epochs": 1}
    monkeypatch.setattr(train_ppo, "SETTINGS", train_ppo.SETTINGS | settings)
    monkeypatch.setattr(train_ppo, "SAVE_EVERY", 2)


@pytest.mark.parametrize("precision", ["32", "bf16-mixed"])
def test_train_go_on_and_collect(precision, tmp_path, capsys):
    out = tmp_path / "run"
    game = ["--game", "breakout", "--precision", precision]
    command = ["train-policy", *game, "--out", str(out), "--steps"]
    assert main([*command, "100"]) == 0
    assert capsys.readouterr().out.endswith(f"{out / 'policy.zip'}\n")
    first = json.loads((out / "training.json").read_text())
    assert [point["steps"] for point in first["curve"]] == [32, 64, 96, 128]
    (part,) = first["parts"]
    assert (part["from"], part["to"]) == (0, 100)
    assert part["command"].startswith("python -m lightning_stdim train-policy")
    before = PPO.load(out / "policy.zip", device="cpu")
    assert before.num_timesteps == 128

    assert main([*command, "128"]) == 0  # nothing left to do
    assert json.loads((out / "training.json").read_text()) == first

    assert main([*command, "800"]) == 0
    second = train_ppo.read_record(out / "policy.zip")
    assert second == json.loads((out / "training.json").read_text())
    assert second["curve"][:4] == first["curve"]
    assert [point["steps"] for point in second["curve"]] == list(range(32, 801, 32))
    assert [(part["from"], part["to"]) for part in second["parts"]] == [(0, 100), (128, 800)]
    assert second["curve"][-1]["games"] > 0
    assert second["curve"][-1]["mean_return"] == pytest.approx(np.mean(second["returns"]))
    assert second["curve"][-1]["mean_return"] is not None
    after = PPO.load(out / "policy.zip", device="cpu")
    assert not torch.equal(before.policy.action_net.weight, after.policy.action_net.weight)
    # Adam went on: it has counted the steps of both trainings.
    assert after.policy.optimizer.state_dict()["state"][0]["step"] == 2 * len(second["curve"])
    assert (out / "training.png").read_bytes().startswith(b"\x89PNG")

    capsys.readouterr()
    collected = ["collect", "--game", "breakout", "--steps", "50", "--workers", "1"]
    policy = ["--policy", str(out / "policy.zip"), "--epsilon", "0.2", "--root", str(tmp_path)]
    assert main([*collected, *policy]) == 0
    attributes = read(capsys.readouterr().out.strip()).attributes
    assert (attributes["policy"], attributes["epsilon"]) == ("policy.zip", 0.2)


def test_an_interruption_keeps_the_last_checkpoint(tmp_path, monkeypatch):
    saved = train_ppo._save

    def interrupted(model, record, path):
        saved(model, record, path)
        if len(record["curve"]) == 2:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(train_ppo, "_save", interrupted)
    with pytest.raises(KeyboardInterrupt, match=r"64 of 200 steps are kept in "):
        train_ppo.train_ppo("pong", steps=200, out=tmp_path, progress=False)
    monkeypatch.setattr(train_ppo, "_save", saved)
    path = train_ppo.train_ppo("pong", steps=96, out=tmp_path, progress=False)
    assert [point["steps"] for point in train_ppo.read_record(path)["curve"]] == [32, 64, 96]


def test_nothing_is_left_among_the_temporary_files(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    train_ppo.train_ppo("pong", steps=40, out=tmp_path / "run", progress=False)
    assert not list(tmp_path.glob("SB3-*"))


def test_the_picture_says_that_no_game_has_ended(tmp_path, monkeypatch):
    said = []
    text = Axes.text
    monkeypatch.setattr(Axes, "text", lambda *a, **k: said.append(a[3]) or text(*a, **k))
    train_ppo.train_ppo("pong", steps=40, out=tmp_path, progress=False)
    assert train_ppo.read_record(tmp_path / "policy.zip")["curve"][-1]["games"] == 0
    assert said == ["no game has ended yet"]


def test_wrong_input_is_one_clear_message(tmp_path):
    def train(**wrong):
        arguments = {"game": "pong", "steps": 40, "out": tmp_path, "progress": False} | wrong
        train_ppo.train_ppo(arguments.pop("game"), **arguments)

    with pytest.raises(ConfigurationError, match="steps=32 must be more than a rollout"):
        train(steps=32)
    with pytest.raises(ConfigurationError, match="seed=-1 must be at least 0"):
        train(seed=-1)
    with pytest.raises(ConfigurationError, match="did you mean 'pong'"):
        train(game="ponk")
    with pytest.raises(ConfigurationError, match="precision '16' is unknown: choose one of 32, bf"):
        train(precision="16")
    with pytest.raises(StoreError, match=r"/dev/null/run cannot be written \(Not a dir"):
        train(out="/dev/null/run")
    with pytest.raises(ConfigurationError, match="device 'nowhere'"):
        train(out=tmp_path / "agents" / "run", device="nowhere")
    assert not (tmp_path / "agents").exists()
    train()
    with pytest.raises(ConfigurationError, match="was trained with game pong, not breakout"):
        train(game="breakout")
    with (
        exclusive_lock(tmp_path / ".lock"),
        pytest.raises(ConfigurationError, match="is in use by another training"),
    ):
        train()
    whole = (tmp_path / "policy.zip").read_bytes()
    with zipfile.ZipFile(tmp_path / "policy.zip") as archive:
        at = archive.getinfo("policy.pth").header_offset + 5000
    (tmp_path / "policy.zip").write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
    with pytest.raises(StoreError, match=r"policy.zip is damaged .* move it away to train again"):
        train(steps=100)
    (tmp_path / "policy.zip").write_bytes(b"no archive")
    with pytest.raises(StoreError, match=r"policy.zip is damaged, .* move it away"):
        train()
