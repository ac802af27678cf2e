"""Scripts for the 2019 package run with other import lines and nothing else changed."""

from __future__ import annotations

import json
import subprocess
import sys
from argparse import Namespace
from importlib.resources import files
from pathlib import Path
from typing import Any

import cv2
import gymnasium as gym
import h5py
import hdf5plugin  # noqa: F401
import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, f1_score
from torch import nn

from lightning_stdim import NatureEncoder, evaluate_encoder
from lightning_stdim.compat.atariari import (
    AtariARIWrapper,
    NatureCNN,
    ProbeTrainer,
    atari_dict,
    get_episodes,
    ram2label,
    summary_key_dict,
)
from lightning_stdim.datamodules.atari import AtariDataModule
from lightning_stdim.errors import ConfigurationError, EncoderError
from lightning_stdim.probes import PaperSettings

FACTS = json.loads(
    files("lightning_stdim.datamodules.labels").joinpath("annotations.json").read_text()
)
ENV = "BreakoutNoFrameskip-v4"  # short episodes
STEPS = 700

# In the old package: import gym; from atariari.benchmark.wrapper import AtariARIWrapper; ...
SCRIPT = """
import gymnasium as gym
import torch
from torch import nn
from lightning_stdim.compat.atariari import AtariARIWrapper, ProbeTrainer, get_episodes

env = AtariARIWrapper(gym.make("MsPacmanNoFrameskip-v4"))
obs = env.reset()
obs, reward, done, info = env.step(1)
print("labels:", info["ale.lives"], sorted(info["labels"])[:3], obs.shape, done)

tr_episodes, val_episodes, tr_labels, val_labels, test_episodes, test_labels = get_episodes(
    env_name="BreakoutNoFrameskip-v4", steps=700, collect_mode="random_agent", min_episode_length=20
)


class Encoder(nn.Module):
    def __init__(self, input_channels, feature_size):
        super().__init__()
        self.feature_size = feature_size
        self.cnn = nn.Sequential(
            nn.Conv2d(input_channels, 8, 8, stride=4), nn.ReLU(), nn.AdaptiveAvgPool2d(4)
        )
        self.fc = nn.Linear(8 * 4 * 4, feature_size)

    def forward(self, inputs):
        x = self.cnn(inputs)
        return self.fc(x.view(x.size(0), -1))


encoder = Encoder(tr_episodes[0][0].shape[0], 32)
trainer = ProbeTrainer(encoder, representation_len=encoder.feature_size, epochs=2)
trainer.train(tr_episodes, val_episodes, tr_labels, val_labels)
accuracies, f1_scores = trainer.test(test_episodes, test_labels)
print("scores:", sorted(accuracies), sorted(f1_scores))
print("all in [0, 1]:", all(0 <= v <= 1 for s in (accuracies, f1_scores) for v in s.values()))
"""


def test_a_script_from_end_to_end(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(SCRIPT)
    root = str(Path(__file__).parents[2])
    words = [sys.executable, "-c", f"import sys; sys.path.insert(0, {root!r}); import runpy; "]
    words[-1] += "runpy.run_path('script.py')"
    found = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True)
    assert found.returncode == 0, found.stderr
    out = found.stdout
    assert "labels: 3 ['dots_eaten_count', 'enemy_blinky_x', 'enemy_blinky_y'] (210, 160, 3)" in out
    for suffix in ("acc", "f1"):
        for name in ("ball_x", "small_object_localization_avg", "overall_avg"):
            assert f"'{name}_{suffix}'" in out
        assert f"'across_categories_avg_{suffix}'" in out
    assert "all in [0, 1]: True" in out
    assert [path.suffix for path in (tmp_path / "data").glob("[!.]*")] == [".h5"]


def test_the_wrapper_is_an_old_environment() -> None:
    env = AtariARIWrapper(gym.make(ENV, max_num_frames_per_episode=40))
    env.seed(3)
    first = env.reset()
    twin = gym.make(ENV)
    assert np.array_equal(first, twin.reset(seed=3)[0])
    done, info = False, {}
    while not done:
        _, _, done, info = env.step(1)
        ram = env.unwrapped.ale.getRAM()
        truth = {k: ram[entry["ram"]] for k, entry in FACTS["upstream"]["breakout"].items()}
        assert info["labels"] == env.labels() == ram2label(ENV, ram) == truth
    assert info["TimeLimit.truncated"]
    assert info["ale.lives"] == env.unwrapped.ale.lives()
    assert isinstance(gym.make(env.spec), AtariARIWrapper)
    with pytest.raises(ConfigurationError, match="CartPole"):
        AtariARIWrapper(gym.make("CartPole-v1"))


def test_the_dictionaries_are_the_annotations() -> None:
    upstream = FACTS["upstream"]
    bytes_of = {g: {k: e["ram"] for k, e in entries.items()} for g, entries in upstream.items()}
    assert atari_dict == bytes_of
    for entries in upstream.values():
        for name, entry in entries.items():
            found = [category for category, names in summary_key_dict.items() if name in names]
            assert sorted(found) == sorted(entry["categories"])


def test_ram2label_takes_one_moment() -> None:
    with pytest.raises(ConfigurationError, match=r"\(2, 128\): expected \[128\]"):
        ram2label(ENV, np.zeros((2, 128), np.uint8))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tmp_path_factory.mktemp("collections"))


def episodes(root: str, **options: Any) -> Any:
    return get_episodes(ENV, STEPS, seed=1, min_episode_length=20, root=root, **options)


def test_probe_episodes_hold_frames_with_their_labels(folder: str) -> None:
    train, val, train_labels, val_labels, test, test_labels = episodes(folder)
    (path,) = Path(folder).glob(f"*-{STEPS}*.h5")
    with h5py.File(path) as file:
        frames, ram = file["frames"][...], file["ram"][...]
        lengths = file["episodes/length"][...]
    rows: dict[bytes, list[int]] = {}
    for row, frame in enumerate(frames):
        rows.setdefault(frame.tobytes(), []).append(row)
    for part, part_labels in ((train, train_labels), (val, val_labels), (test, test_labels)):
        assert part
        assert [len(one) for one in part] == [len(one) for one in part_labels]
        for episode, episode_labels in zip(part, part_labels, strict=True):
            for frame, labels in zip(episode, episode_labels, strict=True):
                assert frame.shape == (1, 210, 160)
                assert frame.dtype == torch.uint8
                found = [
                    {k: ram[r, atari_dict["breakout"][k]] for k in labels}
                    for r in rows[frame.numpy().tobytes()]
                ]
                assert labels in found
    long = [length for length in lengths if length > 20]
    assert {len(episode) for episode in train + val} <= set(long)
    assert len(train) + len(val) + len(test) <= len(long)
    seen = {frame.numpy().tobytes() for one in train + val for frame in one}
    assert not any(frame.numpy().tobytes() in seen for one in test for frame in one)
    scored, annotated = set(train_labels[0][0]), set(atari_dict["breakout"])
    assert "ball_x" in scored < annotated  # what hardly varies is left out


def test_episodes_to_train_an_encoder_on(folder: str) -> None:
    train, val = episodes(folder, train_mode="train_encoder")
    assert len(train) > len(val) >= 1
    assert {len(one) > 20 for one in train + val} == {True}
    assert {tuple(frame.shape) for one in train for frame in one} == {(1, 210, 160)}
    # The probe's frames are other games.
    frames = {f.numpy().tobytes() for one in train for f in one}
    probe = [f for one in episodes(folder)[0] for f in one]
    assert sum(f.numpy().tobytes() not in frames for f in probe) > len(probe) / 2


def test_episodes_in_colour_are_the_same_games(folder: str, tmp_path: Path) -> None:
    luma, colour = episodes(folder), episodes(str(tmp_path), color=True)
    frame = colour[0][0][0]
    assert (frame.shape, frame.dtype) == ((3, 210, 160), torch.uint8)
    assert colour[2] == luma[2]
    grey = cv2.cvtColor(frame.permute(1, 2, 0).numpy(), cv2.COLOR_RGB2GRAY)
    assert np.array_equal(grey, luma[0][0][0][0])
    ProbeTrainer(Pool(), representation_len=210, epochs=1).train(*colour[:4])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"collect_mode": "pretrained_ppo"}, r"collect_mode='pretrained_ppo' .* collect --policy"),
        ({"collect_mode": "mine"}, "only 'random_agent'"),
        ({"train_mode": "dry_run"}, "choose 'probe' or 'train_encoder'"),
        ({"num_frame_stack": 4}, "num_frame_stack=4 is not supported, only 1"),
        ({"downsample": True}, "whole frames"),
        ({"checkpoint_index": 3}, "checkpoint_index=3"),
    ],
)
def test_what_is_not_supported_is_refused(tmp_path: Path, options: Any, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        get_episodes(ENV, 100, root=str(tmp_path), **options)
    assert not any(tmp_path.iterdir())


class Pool(nn.Module):
    """Takes floats in [0, 1], as the old code's encoders do."""

    feature_size = 70

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        assert frames.dtype == torch.float32
        assert 0 <= frames.min() < frames.max() <= 1
        return 20 * nn.functional.adaptive_max_pool2d(frames, (10, 7)).flatten(1)


class PoolOfBytes(Pool):
    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        return super().forward(frames / 255)


def test_scores_are_those_of_the_paper_protocol(folder: str) -> None:
    train, val, train_labels, val_labels, test, test_labels = episodes(folder)
    trainer = ProbeTrainer(Pool(), representation_len=70, epochs=3, lr=3e-3)
    trainer.train(train, val, train_labels, val_labels)
    accuracy, f1 = trainer.test(test, test_labels)
    data = AtariDataModule(
        ENV, probe_steps=STEPS, seed=1, root=folder, label_set="upstream", min_episode_length=22
    ).probe_data()
    assert len(data.splits["test"]) == sum(map(len, test))
    settings = PaperSettings(lr=3e-3, max_epochs=3)
    scores = evaluate_encoder(PoolOfBytes(), data, protocols=["paper"], paper=settings)
    for found, metric, suffix in ((accuracy, "accuracy", "_acc"), (f1, "f1", "_f1")):
        table = scores["protocols"]["paper"][metric]
        expected = {
            **table["variables"],
            **{f"{name}_avg": value for name, value in table["categories"].items()},
            "overall_avg": table["mean_over_variables"],
            "across_categories_avg": table["mean_over_categories"],
        }
        assert found == pytest.approx({f"{k}{suffix}": v for k, v in expected.items()})
    assert trainer.test(test, test_labels) == (accuracy, f1)


def test_a_perfect_encoder_has_the_score_of_its_labels() -> None:
    """Two values that the features spell out; a third is the majority's."""
    values = torch.tensor([0, 1] * 40)
    frames = (values * 255).byte()[:, None, None, None].expand(-1, 1, 210, 160)
    labels = [{"ball_x": int(v), "player_x": 7 if k % 10 else 9} for k, v in enumerate(values)]

    class Spell(nn.Module):
        def forward(self, frames: torch.Tensor) -> torch.Tensor:
            return 10 * torch.stack([frames[:, 0, 0, 0], 1 - frames[:, 0, 0, 0]], dim=1)

    trainer = ProbeTrainer(Spell(), representation_len=2, lr=0.1, epochs=5)
    with pytest.raises(ConfigurationError, match=r"test comes after .*train"):
        trainer.test([list(frames)], [labels])
    trainer.train([list(frames)], [list(frames)], [labels], [labels])
    accuracy, f1 = trainer.test([list(frames)], [labels])
    truth = [row["player_x"] for row in labels]
    assert accuracy["ball_x_acc"] == f1["ball_x_f1"] == 1
    assert accuracy["player_x_acc"] == accuracy_score(truth, [7] * 80)
    expected = f1_score(truth, [7] * 80, average="weighted")
    assert f1["agent_localization_avg_f1"] == pytest.approx(expected)
    assert f1["across_categories_avg_f1"] == pytest.approx((1 + expected) / 2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"encoder": None}, "encoder=None"),
        ({"wandb": object()}, "wandb="),
        ({"num_classes": 255}, "num_classes=255"),
        ({"fully_supervised": True}, r"lightning_stdim\.Supervised"),
        ({"save_dir": "here"}, "nothing is saved"),
        ({"epochs": 0}, "max_epochs=0"),
    ],
)
def test_a_trainer_that_is_not_supported(options: Any, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        ProbeTrainer(**{"encoder": Pool(), **options})


def test_frames_labels_and_features_must_fit() -> None:
    frames, labels = [torch.ones(3, 1, 210, 160, dtype=torch.uint8)], [[{"x": 1}] * 2]
    trainer = ProbeTrainer(Pool())
    with pytest.raises(ConfigurationError, match="train: 3 frames and 2 labels"):
        trainer.train(frames, frames, labels, labels)
    labels = [[{"x": 1}, {"x": 2}, {"x": 256}]]
    with pytest.raises(ConfigurationError, match=r"x of .* has labels 1 to 256"):
        trainer.train(frames, frames, labels, labels)


def test_representation_len_must_be_the_encoder_s(folder: str) -> None:
    train, val, train_labels, val_labels, *_ = episodes(folder)
    with pytest.raises(ConfigurationError, match=r"representation_len=256, .* returns 70"):
        ProbeTrainer(Pool()).train(train, val, train_labels, val_labels)


ARGS = {"feature_size": 32, "no_downsample": True, "end_with_relu": False}


def test_the_encoder_is_ours_on_floats() -> None:
    frames = torch.randint(0, 256, (2, 1, 210, 160), dtype=torch.uint8)
    torch.manual_seed(0)
    encoder = NatureCNN(1, Namespace(**ARGS))
    torch.manual_seed(0)
    ours = NatureEncoder(feature_dim=32)
    local, vectors = ours.feature_maps(frames)
    maps = encoder(frames.float() / 255, fmaps=True)
    assert torch.allclose(maps["out"], vectors, atol=1e-5)
    assert torch.allclose(maps["f5"].permute(0, 3, 1, 2), local, atol=1e-5)
    assert maps["f7"].shape == (2, 9, 6, 64)
    assert (encoder.feature_size, encoder.local_layer_depth) == (32, 128)
    rectified = NatureCNN(1, Namespace(**{**ARGS, "end_with_relu": True}))
    rectified.load_state_dict(encoder.state_dict())
    assert torch.equal(rectified(frames.float() / 255), encoder(frames.float() / 255).relu())
    with pytest.raises(EncoderError, match=r"float frames in \[0, 1\], not torch.uint8"):
        encoder(frames)
    with pytest.raises(ConfigurationError, match="no_downsample=False"):
        NatureCNN(1, Namespace(**{**ARGS, "no_downsample": False}))


def test_weights_have_the_reference_s_names_and_shapes() -> None:
    """Those of its ``NatureCNN.main`` for whole frames, as its checkpoints hold them."""
    shapes = {k: tuple(v.shape) for k, v in NatureCNN(1, Namespace(**ARGS)).state_dict().items()}
    assert {k: v for k, v in shapes.items() if k.endswith("weight")} == {
        "main.0.weight": (32, 1, 8, 8),
        "main.2.weight": (64, 32, 4, 4),
        "main.4.weight": (128, 64, 4, 4),
        "main.6.weight": (64, 128, 3, 3),
        "main.9.weight": (32, 3456),
    }
    assert set(shapes) == {k.replace("weight", s) for k in shapes for s in ("weight", "bias")}
