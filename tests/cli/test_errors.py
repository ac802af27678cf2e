"""Wrong input and damaged files: one clear message each."""

import sys

import pytest
import torch

from lightning_stdim.cli import main
from tests.cli.helpers import probe


class Anything:
    pass


@pytest.fixture
def bad_checkpoints(tmp_path):
    torch.save({"state_dict": {}, "hyper_parameters": {"x": Anything()}}, tmp_path / "pickle.ckpt")
    torch.save({"state_dict": {"layer.weight": torch.zeros(1)}}, tmp_path / "other.ckpt")
    torch.save([1, 2], tmp_path / "list.ckpt")
    (tmp_path / "text.ckpt").write_text("this is no checkpoint")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["fot"], "did you mean 'fit'"),
        (["fit", "--data.game=ponk"], "pong"),
        (["fit", "--data.steps=0"], "data.steps=0"),
        (["fit", "--model=NoSuchModel"], "NoSuchModel"),
        (["fit", "--model.nope=3"], "Option 'nope' is not accepted; see"),
        (["fit", "--model.lr=x"], 'Parser key "lr": expected float. Got value: x; see'),
        (["fit", "--nope"], "arguments: --nope; see `python -m lightning_stdim fit --help`"),
        (
            ["fit", "--trainer.max_epochs=x"],
            "--trainer.max_epochs: expected int. Got value: x; see",
        ),
        (["fit", "--config=nope.yaml"], "nope.yaml"),
        (["collect", "--stps=3"], "--stps=3; see `python -m lightning_stdim collect --help`"),
        (["collect", "--steps=1.5"], "--steps: expected int. Got value: 1.5; see"),
        (["collect", "--label_set=x"], "--label_set: expected one of 'paper', 'upstream'. Got"),
        (["describe", "a.h5", "--nope"], "--nope; see `python -m lightning_stdim describe --help`"),
        (["export", "a.h5"], "export needs --format, --out; for example: python -m"),
        (
            ["list", "preset"],
            "list has no 'preset'; did you mean 'presets'? There are methods, games, labels, pres",
        ),
        (["list", "label", "pong"], "list has no 'label'; did you mean 'labels'?"),
        (["list", "x"], "list has no 'x'; there are methods, games, labels, presets"),
        (["list", "labels", "ponk"], "did you mean 'pong'"),
        (["list", "games", "pong"], "list games takes no 'pong'; list labels takes a game"),
        (["help", "fot"], "did you mean 'fit'"),
        (["fit", "--ckpt_path=last"], "no run to go on with"),
        (["test", "--ckpt_path=best"], "no run to go on with"),
        (["validate"], "validate needs a checkpoint: give --ckpt_path"),
        (["test", "--model=Supervised"], "test needs a checkpoint: give --ckpt_path"),
        (["predict", "--out=run"], "such as run/checkpoints/best.ckpt"),
        (["fit", "--ckpt_path=other.ckpt"], "not a checkpoint of a run"),
        (["validate", "--ckpt_path=text.ckpt"], "text.ckpt"),
        (["validate", "--ckpt_path=pickle.ckpt"], "can run code"),
        (["fit", "--out=/proc/nowhere"], "cannot be written"),
        (["fit", "--data.root=/proc/nowhere"], "cannot be written"),
        (["fit", "--model.patience=0"], "patience=0"),
        (["fit", "--model.lr=-1"], "lr=-1.0"),
        (["fit", "--model=Supervised", "--model.lr=0"], "lr=0.0"),
        (["fit", "--paper.plateau_factor=2"], "factor=2.0"),
        (["fit", "--trainer.overfit_batches=2"], "overfit_batches"),
        (
            ["fit", "--trainer.enable_checkpointing=false"],
            "trainer.enable_checkpointing=false keeps",
        ),
        (["fit", "--trainer.barebones=true"], "trainer.barebones=true keeps no checkpoint"),
        (["fit", "--run_key=[]"], "run_key '[]': it is a list, not an object; give an object"),
        (["fit", "--out"], "--out: expected one argument; see"),
        (["fit", "--out="], "out is empty: give a path"),
        (["predict", "--out", "", "--ckpt_path=last"], "out is empty: give a path"),
        (["probe", "--encoder=random", "--out="], "out is empty: give a path"),
        (["benchmark", "--out="], "out is empty: give a path"),
        (["report", "runs", "--into="], "out is empty: give a path"),
        (["train-policy", "--out="], "out is empty: give a path"),
        (["fit", "--data.workers=0"], "data.workers=0"),
        (["fit", "--seed_everything=-1"], "seed_everything=-1 must be at least 0"),
        (["fit", "--seed_everything=5000000000"], "seed_everything=5000000000 must be at least 0"),
        (["fit", "--seed_everything=1000000"], "data.seed=1000000 must be at least 0 and at most"),
        (["fit", "--seed_everything=false"], "seed_everything=false: a run has a seed"),
        (["fit", "--seed_everything=true"], "seed_everything=true: a run has a seed"),
        (["probe", "--encoder=random", "--seed=-1"], "seed=-1 must be at least 0"),
        (["fit", "--data.probe_steps=200", "--data.root=data"], "steps would do"),
        pytest.param(
            ["fit", "--trainer.accelerator=gpu"],
            "error:",
            marks=pytest.mark.skipif(torch.cuda.is_available(), reason="needs a lack of GPUs"),
        ),
        (["fit", "--trainer.accelerator=none"], "trainer: You selected an invalid accelerator"),
        (["fit", "--trainer.strategy=nonsense"], "trainer: You selected an invalid strategy"),
        (["probe", "--encoder=random", "--out=/proc/nowhere"], "cannot be written"),
        (["collect", "--game=breakot"], "breakout"),
        (["collect", "--steps=-3"], "steps"),
        (["collect", "--workers=0"], "workers=0 must be at least 1"),
        (["probe", "--encoder=random", "--device=nowhere"], "device 'nowhere'"),
        (["collect", "--steps=10", "--root=/proc/nowhere"], "cannot be written"),
        (["probe", "--encoder=nothing"], "neither"),
        (["probe", "--encoder=majority", "--run_key={"], "run_key '{' is not JSON"),
        (["probe", "--encoder=random", "--preset=huge"], "unknown preset 'huge'"),
        (["probe", "--encoder=random", "--protocols=linear"], "['linear']: choose from"),
        (["fit", "--protocols=paper,linear"], "['paper', 'linear']: choose from"),
        (["fit", "--challenge.lr=0"], "challenge.lr=0"),
        (["benchmark", "--protocols=linear"], "['linear']: choose from"),
        (["probe", "--encoder=missing.ckpt"], "no checkpoint"),
        (["probe", "--encoder=pickle.ckpt"], "can run code"),
        (["probe", "--encoder=other.ckpt"], "holds no encoder"),
        (["probe", "--encoder=list.ckpt"], "not a Lightning checkpoint"),
        (["probe", "--encoder=text.ckpt"], "text.ckpt"),
    ],
)
@pytest.mark.usefixtures("bad_checkpoints")
def test_wrong_input_gets_one_message(words, message, capsys):
    assert main(words) == 2
    errors = capsys.readouterr().err
    assert errors.count("error: ") == 1
    *_, last = errors.splitlines()
    assert last.startswith("error: ")
    assert message in last


def test_too_few_episodes(small, capsys):
    words = [*probe(small, "random"), "--game=pong", "--steps=500"]
    assert main(words) == 2
    assert "steps would do" in capsys.readouterr().err


def test_a_flipped_byte_in_the_collection(small, tmp_path, capsys):
    words = ["collect", "--steps=300", "--root=data", "--workers=1"]
    assert main(words) == 0
    path = next((tmp_path / "data").glob("*.h5"))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    words = [*probe(small, "random"), "--game=pong"]
    assert main([*words, "--root=data", "--steps=300", "--seed=0"]) == 2
    capsys.readouterr()
    path.rename(path.with_name(path.name.replace("seed0", "seed1000000")))
    assert main([*words, "--root=data", "--steps=300", "--seed=0"]) == 2
    assert path.name.replace("seed0", "seed1000000") in capsys.readouterr().err


BROKEN = """
from lightning_stdim import SSLMethod
from torch import nn

class Encoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(160, 4)
    def forward(self, frames):
        assert frames.is_floating_point(), "floats, please"
        return self.layer(frames).mean((1, 2))

class Method(SSLMethod):
    def loss(self, batch):
        return {"mse": self.encoder(batch.frames[0]).mean()}

class Unmade(SSLMethod):
    def __init__(self, **arguments):
        super().__init__(**arguments)
        raise KeyError("size")
    def loss(self, batch):
        return {}
"""


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["fit", "--model=fails_on_frames.Method"], "Method's returns one with ['mse']"),
        (
            ["fit", "--model=fails_on_frames.Method", "--model.encoder=fails_on_frames.Encoder"],
            "AssertionError: floats, please (fails_on_frames.py:10); frames are uint8",
        ),
        (
            ["fit", "--model=fails_on_frames.Unmade"],
            "cannot be made: KeyError: 'size' (fails_on_frames.py:20)",
        ),
        (
            ["probe", "--encoder=fails_on_frames:Encoder"],
            "AssertionError: floats, please (fails_on_frames.py:10); frames are uint8",
        ),
    ],
)
def test_a_model_that_fails_on_frames_leaves_nothing_behind(
    words, message, tmp_path, monkeypatch, capsys
):
    (tmp_path / "fails_on_frames.py").write_text(BROKEN)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "fails_on_frames", raising=False)
    assert main([*words, "--out=run"]) == 2
    *_, last = capsys.readouterr().err.splitlines()
    assert last.startswith("error: ")
    assert message in last
    assert {path.name for path in tmp_path.iterdir()} <= {"fails_on_frames.py", "__pycache__"}
