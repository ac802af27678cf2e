"""The command line in process: every command, every shipped preset, the error paths."""

import csv
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time

import h5py
import numpy as np
import pytest
import torch
import yaml
from matplotlib.image import imread

import lightning_stdim.cli.fit  # noqa: F401  Lightning's logger keeps the stderr it finds
from lightning_stdim.cli import main
from lightning_stdim.datamodules.labels.annotations import annotation
from lightning_stdim.presets import FOLDER, read_preset
from lightning_stdim.runs.key import RunKey
from lightning_stdim.runs.predictions import Predictions

PRESETS = sorted(path.stem for path in FOLDER.glob("*.yaml"))


@pytest.fixture(autouse=True)
def _in_its_own_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


STEPS, PROBE_STEPS = 1000, 1500


@pytest.fixture
def shrunk(small):
    """Options that make any preset quick: a game of short episodes takes few frames to split."""
    options = {
        "data.game": "breakout",
        "data.steps": STEPS,
        "data.probe_steps": PROBE_STEPS,
        "data.root": small["root"],
        "data.workers": 1,
        "data.batch_size": 16,
        "trainer.max_epochs": 1,
        "trainer.limit_train_batches": 3,
        "trainer.limit_val_batches": 2,
        "trainer.limit_test_batches": 2,
        "trainer.enable_progress_bar": "false",
        "trainer.accelerator": "cpu",
        "paper.max_epochs": 1,
        "converged.strengths": "[0.1]",
        "converged.search_tolerance": 0.1,
        "converged.tolerance": 0.01,
        "controls": "false",
    }
    return [f"--{name}={value}" for name, value in options.items()]


def results(folder):
    return json.loads((folder / "results.json").read_text())


def metrics(folder):
    with (folder / "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def weights(path):
    return torch.load(path, weights_only=True)["state_dict"]


@pytest.mark.parametrize("preset", PRESETS)
def test_fit_with_every_preset(preset, shrunk, tmp_path, capsys):
    config = str(FOLDER / f"{preset}.yaml")
    bar = "--trainer.enable_progress_bar=true"
    assert main(["fit", "--config", config, *shrunk, bar, "--controls=true", "--out", "run"]) == 0
    printed = capsys.readouterr().out
    run = tmp_path / "run"
    found = results(run)
    assert found["preset"] == preset
    assert found["method"] == "st-dim"
    assert set(found["scores"]["controls"]) == {"majority", "shuffled"}
    assert "epoch 1 of at most 1" in printed  # there is no terminal for a bar
    assert "it/s" in printed
    assert "v_num" not in printed  # a run's directory is not a version of anything
    assert set(found["scores"]["protocols"]) == {"paper", "converged"}
    for protocol in found["scores"]["protocols"].values():
        values = protocol["f1"]["variables"]
        variables = set(annotation("breakout", "paper").variables)
        assert set(values) | set(found["scores"]["dropped"]) == variables
        assert all(0 <= value <= 1 for value in values.values())
    predictions = Predictions.read(run)
    assert set(predictions.predicted) == {"paper", "converged"}
    assert predictions.variables == tuple(values)
    assert any(row.get("train/loss") for row in metrics(run))
    assert yaml.safe_load((run / "config.yaml").read_text())["data"]["game"] == "breakout"
    for name in ("best", "last"):
        assert weights(run / "checkpoints" / f"{name}.ckpt")


def test_fit_without_arguments_is_stdim_on_pong_with_the_laptop_preset(capsys):
    with pytest.raises(SystemExit):
        main(["fit", "--print_config"])
    config = yaml.safe_load(capsys.readouterr().out)
    shipped = yaml.safe_load((FOLDER / "laptop.yaml").read_text())
    assert config["model"]["class_path"].endswith("STDIM")
    assert config["data"]["game"] == "pong"
    assert config["data"]["steps"] == shipped["data"]["steps"]
    assert config["trainer"]["max_epochs"] == shipped["trainer"]["max_epochs"]


@pytest.mark.parametrize("model", ["STDIM", "Supervised"])
@pytest.mark.parametrize(("preset", "lr"), [("paper", 3e-4), ("laptop", 1e-3)])
def test_no_preset_leaks_into_another(preset, lr, model, capsys):
    config = str(FOLDER / f"{preset}.yaml")
    with pytest.raises(SystemExit):
        main(["fit", "--config", config, "--model", model, "--print_config"])
    assert yaml.safe_load(capsys.readouterr().out)["model"]["init_args"]["lr"] == lr


def test_laptop_bf16_is_laptop_in_another_precision():
    settings = read_preset("laptop-bf16")
    assert settings.pop("preset") == "laptop-bf16"
    assert settings["trainer"].pop("precision") == "bf16-mixed"
    assert settings == {k: v for k, v in read_preset("laptop").items() if k != "preset"}


@pytest.mark.parametrize("words", [[], ["true"], ["--into", "elsewhere"]])
def test_a_switch_needs_no_value(words, tmp_path, capsys):
    """Whatever follows it: the command itself is reached, and finds no run in the folder."""
    assert main(["report", str(tmp_path), "--mixed_label_sets", *words]) != 0
    assert "no run has finished" in capsys.readouterr().err


OLD = """# lightning.pytorch==2.6.6
trainer:
  callbacks:
  - class_path: lightning.pytorch.callbacks.LearningRateMonitor
    init_args: {logging_interval: epoch}
"""


@pytest.mark.parametrize(
    "words",
    [
        ["--config=old.yaml"],
        ["--ckpt_path=run/checkpoints/last.ckpt"],  # which brings the configuration of its run
        ["--trainer.callbacks+=lightning.pytorch.callbacks.LearningRateMonitor"],
        [
            "--trainer.callbacks",
            '[{"class_path": "lightning.pytorch.callbacks.LearningRateMonitor"}]',
        ],
    ],
)
def test_classes_may_be_named_by_lightning_s_other_package(words, tmp_path, monkeypatch, capsys):
    """As configurations of earlier runs do. Instances of that package would be refused."""
    monkeypatch.setitem(sys.modules, "lightning.pytorch", None)  # as if it were not installed
    (tmp_path / "run").mkdir()
    for name in ("old.yaml", "run/config.yaml"):
        (tmp_path / name).write_text(OLD)
    with pytest.raises(SystemExit):
        main(["fit", *words, "--print_config"])
    (callback,) = yaml.safe_load(capsys.readouterr().out)["trainer"]["callbacks"]
    assert callback["class_path"] == "pytorch_lightning.callbacks.LearningRateMonitor"


def test_a_configuration_of_the_users_own_stands_alone(tmp_path, capsys):
    (tmp_path / "my.yaml").write_text("data:\n  steps: 777\n")
    with pytest.raises(SystemExit):
        main(["fit", "--config", "my.yaml", "--print_config"])
    config = yaml.safe_load(capsys.readouterr().out)
    assert config["data"]["steps"] == 777
    assert config["preset"] is None
    assert config["model"]["init_args"]["lr"] == 3e-4


def test_the_other_models_and_a_second_run_keeps_the_first(shrunk, tmp_path):
    assert main(["fit", "--model", "RandomCNN", *shrunk]) == 0
    assert main(["fit", "--model", "RandomCNN", *shrunk]) == 0
    first, second = (tmp_path / "runs" / f"breakout-RandomCNN-seed0{k}" for k in ("", "-2"))
    assert results(first)["scores"] == results(second)["scores"]
    assert results(first)["budget"]["optimizer_steps"] == 0
    assert main(["fit", "--model", "Supervised", *shrunk, "--out", "supervised"]) == 0
    found = results(tmp_path / "supervised")
    assert found["method"] == "supervised"
    assert "supervised" in found["scores"]["protocols"]
    assert "supervised" in Predictions.read(tmp_path / "supervised").predicted


def test_a_class_is_called_by_its_own_name_and_a_run_by_its_key(shrunk, tmp_path, monkeypatch):
    """A subclass of a shipped method was recorded as that method."""
    for module in ("first", "second"):
        (tmp_path / f"{module}.py").write_text(
            "from lightning_stdim.methods import RandomCNN\nclass Mine(RandomCNN):\n    pass\n"
        )
        monkeypatch.delitem(sys.modules, module, raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    key = {"options": [["steps", "3000"], ["policy", "a,b=c"]], "source": None}
    for module, words, variant in (
        ("first", [], ""),
        ("second", ["--data.mode=4"], "mode=4"),
        ("second", ["--data.mode=4", "--variant=hard, wide"], "hard, wide"),
        ("second", ["--run_key", json.dumps(key)], "steps=3000,policy=a,b=c"),
        ("second", ["--method=ours"], ""),
    ):
        assert main(["fit", f"--model={module}.Mine", *shrunk, *words]) == 0
        (folder,) = tmp_path.glob("runs/*")
        found = results(folder)
        method = "ours" if "--method=ours" in words else f"{module}.Mine"
        assert (found["method"], found["variant"]) == (method, variant)
        stored = RunKey.from_dict(found["key"])
        assert (stored.game, stored.method, stored.seed) == ("breakout", method, 0)
        assert stored.variant == variant
        shutil.rmtree(folder)
    assert RunKey.from_dict(found["key"]).options == ()


def test_interrupted_and_resumed_is_the_same_as_uninterrupted(shrunk, tmp_path):
    """A run killed in its second epoch goes on from the end of the first, callbacks named again."""
    shrunk = [*shrunk, "--trainer.callbacks+=OnlineProbe", "--trainer.callbacks.frames=200"]
    # One of our own choice, in place of the one that is always there.
    shrunk += ["--trainer.callbacks+=RepresentationHealth", "--trainer.callbacks.batches=1"]
    long = [*shrunk, "--trainer.max_epochs=2"]
    assert main(["fit", *long, "--out", "whole"]) == 0
    assert main(["fit", *shrunk, "--out", "parts"]) == 0
    (tmp_path / "parts" / "results.json").unlink()
    assert main(["fit", *long, "--out", "parts", "--ckpt_path", "last"]) == 0
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    for name, value in weights(whole / "checkpoints" / "last.ckpt").items():
        assert torch.equal(value, weights(parts / "checkpoints" / "last.ckpt")[name])
    assert results(whole)["scores"] == results(parts)["scores"]
    for column in ("train/loss", "probe/f1", "health/deviation"):
        assert [row[column] for row in metrics(whole)] == [row[column] for row in metrics(parts)]
    configuration = yaml.safe_load((parts / "config.yaml").read_text())
    assert len(configuration["trainer"]["callbacks"]) == 2
    (one, other) = (
        torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["callbacks"]
        for run in (whole, parts)
    )
    assert one["RepresentationHealth"] == other["RepresentationHealth"] != {"untrained": None}


def test_validate_test_predict_and_probe_on_a_checkpoint(shrunk, small, tmp_path, capsys):
    assert main(["fit", *shrunk, "--out", "run"]) == 0
    checkpoint = str(tmp_path / "run" / "checkpoints" / "best.ckpt")
    assert main(["validate", *shrunk, "--ckpt_path", checkpoint]) == 0
    assert "val/loss" in capsys.readouterr().out
    assert main(["test", *shrunk, "--ckpt_path", checkpoint]) == 0
    assert "mean over categories" in capsys.readouterr().out
    assert main(["predict", *shrunk, "--ckpt_path", checkpoint]) == 0
    features = np.load(tmp_path / "run" / "features.npz")
    assert features["features"].shape == (PROBE_STEPS, 256)
    assert len(features["labels"]) == PROBE_STEPS
    (tmp_path / "same.yaml").write_text(
        "converged: {strengths: [0.1], search_tolerance: 0.1, tolerance: 0.01}"
    )
    assert main([*probe(small, checkpoint), "--seed=0", "--preset=same.yaml"]) == 0
    found = results(tmp_path / "runs" / "breakout-probe-run-seed0")
    again = results(tmp_path / "run")
    assert found["scores"]["protocols"]["converged"] == again["scores"]["protocols"]["converged"]


@pytest.mark.parametrize("model", ["RandomCNN", "Supervised"])
def test_a_checkpoint_brings_the_settings_of_its_run(model, shrunk, tmp_path, capsys):
    assert main(["fit", *shrunk, f"--model={model}", "--out=run"]) == 0
    checkpoint = "run/checkpoints/best.ckpt"
    capsys.readouterr()
    assert main(["test", f"--ckpt_path={checkpoint}"]) == 0
    assert "breakout, label set paper" in capsys.readouterr().out
    assert main(["validate", f"--ckpt_path={checkpoint}"]) == 0
    assert main(["predict", "--ckpt_path=best", "--out=run"]) == 0
    features = np.load(tmp_path / "run" / "features.npz")
    assert set(features["variables"]) == set(
        results(tmp_path / "run")["scores"]["protocols"]["paper"]["f1"]["variables"]
    )
    if model == "Supervised":  # its heads are another game's
        capsys.readouterr()
        assert main(["validate", f"--ckpt_path={checkpoint}", "--data.game=spaceinvaders"]) == 2
        assert "the checkpoint's heads are for" in capsys.readouterr().err


def test_a_moved_run_goes_on_by_its_checkpoint_s_path(shrunk, tmp_path):
    assert main(["fit", *shrunk, "--out=run"]) == 0
    (tmp_path / "run" / "results.json").unlink()
    (tmp_path / "run").rename(tmp_path / "moved")
    checkpoints = tmp_path / "moved" / "checkpoints"
    best = torch.load(checkpoints / "best.ckpt", weights_only=True)
    keep = next(v for k, v in best["callbacks"].items() if k.startswith("RunCheckpoint"))
    # As if the first epoch could not be beaten: then its checkpoint has to stay the best one.
    keep["best_k_models"] = dict.fromkeys(keep["best_k_models"], torch.tensor(-1.0))
    keep["kth_value"] = torch.tensor(-1.0)
    torch.save(best, checkpoints / "last.ckpt")
    words = [*shrunk, "--trainer.max_epochs=2", "--ckpt_path=moved/checkpoints/last.ckpt"]
    assert main(["fit", *words]) == 0
    assert results(tmp_path / "moved")["budget"]["epochs"] == 2
    assert torch.load(checkpoints / "best.ckpt", weights_only=True)["epoch"] == best["epoch"]
    assert len(metrics(tmp_path / "moved")) == 4
    assert not (tmp_path / "runs").exists()
    assert not (tmp_path / "run").exists()


def probe(small, encoder):
    return [
        "probe",
        f"--encoder={encoder}",
        "--preset=smoke",
        "--game=breakout",
        f"--steps={PROBE_STEPS}",
        f"--root={small['root']}",
        "--workers=1",
    ]


def test_probe_another_policy_s_frames(small, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = [*probe(small, "majority"), "--policy=sticky-random", "--epsilon=0.2", "--out=run"]
    assert main(words) == 0
    found = results(tmp_path / "run")
    assert "'policy': 'sticky-random', " in str(found)
    assert "'epsilon': 0.2" in str(found)
    assert found["variant"] == "policy=sticky-random-eps0.2"  # not to be averaged with others
    assert found["key"]["options"] == [["policy", "sticky-random-eps0.2"]]
    source = RunKey("pong", "st-dim", 0).to_dict()
    given = json.dumps({"options": [["hidden", "64"]], "source": source})
    words = [*probe(small, "majority"), "--method=st-dim", "--run_key", given, "--out=keyed"]
    assert main(words) == 0
    found = results(tmp_path / "keyed")
    assert found["variant"] == "from=pong,probe.hidden=64"
    assert found["key"]["source"] == source


def test_probe_a_module_of_the_user(small, tmp_path, monkeypatch, capsys):
    (tmp_path / "mine.py").write_text(
        "from torch import nn\n"
        "class Mine(nn.Module):\n"
        "    def forward(self, frames):\n"
        "        return frames.float().mean(3).flatten(1)\n"
        "class Flat(nn.Module):\n"
        "    def forward(self, frames):\n"
        "        return frames.float().mean((1, 2, 3))\n"
        "def number():\n"
        "    return 3\n"
        "def broken():\n"
        "    return nn.Linear(-1, 2)\n"
    )
    monkeypatch.delitem(sys.modules, "mine", raising=False)
    assert main([*probe(small, "mine:Mine"), "--out=scores", "--controls=false"]) == 0
    found = results(tmp_path / "scores")["scores"]
    assert found["protocols"]["paper"]
    assert "controls" not in found
    assert main(probe(small, "mine:Flat")) == 2
    assert main(probe(small, "mine:number")) == 2
    capsys.readouterr()
    assert main(probe(small, "mine:broken")) == 2
    assert re.search(r"error: mine:broken failed: .*\(mine.py:11\)$", capsys.readouterr().err)


def test_colour_from_frames_to_scores(shrunk, small, tmp_path, capsys):
    """One option has everything in colour: data, encoder, decoder, pictures and probes."""
    words = [*shrunk, "--data.pixels=rgb", "--model=VAE", "--out=run"]
    small_encoder = {"resize": [84, 84], "feature_dim": 8}
    assert main(["fit", *words, f"--model.encoder_args={json.dumps(small_encoder)}"]) == 0
    run = tmp_path / "run"
    found = results(run)
    assert found["scores"]["provenance"]["collection"]["pixels"] == "rgb"
    config = json.loads((run / "encoder" / "config.json").read_text())
    assert (config["pixels"], config["encoder_args"]) == (
        "rgb",
        {"in_channels": 3, **small_encoder},
    )
    picture = imread(run / "reconstructions" / "epoch-001.png")
    assert np.ptp(picture[:84, :, :3], axis=2).max() > 0.5  # Breakout's bricks
    assert main(["validate", "--ckpt_path=run/checkpoints/best.ckpt"]) == 0
    assert main([*probe(small, "run/encoder"), "--out=probed"]) == 0  # it says what it takes
    again = results(tmp_path / "probed")["scores"]["protocols"]["converged"]
    assert again.keys() == found["scores"]["protocols"]["converged"].keys()
    capsys.readouterr()
    for wrong, message in (
        ([*probe(small, "run/encoder"), "--pixels=luma"], "trained on rgb frames, not luma"),
        (["fit", *shrunk, "--model.pixels=rgb"], "--data.pixels alone"),
        (["fit", *shrunk, "--data.pixels=rgb", "--model.encoder_args.in_channels=4"], "takes 4"),
    ):
        assert main(wrong) == 2
        assert message in capsys.readouterr().err


def test_probe_random_and_majority(small, tmp_path):
    for encoder in ("random", "majority"):
        assert main([*probe(small, encoder), f"--out={encoder}"]) == 0
    majority = results(tmp_path / "majority")["scores"]["protocols"]["majority"]
    random = results(tmp_path / "random")["scores"]
    assert random["controls"]["majority"] == majority
    floor = max(scores["f1"]["mean_over_variables"] for scores in random["controls"].values())
    assert random["protocols"]["converged"]["f1"]["mean_over_variables"] > floor


def test_collect_says_that_it_is_there(small, capsys):
    options = ["collect", "--game=Pong", f"--steps={small['steps']}", f"--root={small['root']}"]
    assert main(options) == 0
    path = capsys.readouterr().out.strip().splitlines()[-1]
    with h5py.File(path) as file:
        assert file["frames"].shape == (small["steps"], 210, 160)
    assert main(options) == 0
    again = capsys.readouterr()
    assert path in again.out
    assert "exists already" in again.err


def test_probe_refuses_an_unknown_protocol_before_it_plays():
    assert main(["probe", "--encoder=random", "--protocols=paper,linear"]) == 2
    assert not os.path.exists("data")


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
        (["export", "a.h5"], "are required: format, out; see"),
        (["fit", "--ckpt_path=last"], "no run to go on with"),
        (["test", "--ckpt_path=best"], "no run to go on with"),
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
        (["fit", "--run_key=[]"], "run_key '[]': it is a list, not an object; give an object"),
        (["fit", "--out"], "--out: expected one argument; see"),
        (["fit", "--data.workers=0"], "data.workers=0"),
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


def test_nan_in_the_loss_stops_the_run(shrunk, tmp_path, capsys):
    (tmp_path / "broken.py").write_text(
        "from lightning_stdim.methods import STDIM\n"
        "class Broken(STDIM):\n"
        "    def loss(self, batch):\n"
        "        return {k: v * float('nan') for k, v in super().loss(batch).items()}\n"
    )
    sys.path.insert(0, str(tmp_path))
    try:
        assert main(["fit", "--model=broken.Broken", *shrunk, "--out=run"]) == 2
    finally:
        sys.path.remove(str(tmp_path))
    assert "became nan" in capsys.readouterr().err
    assert not (tmp_path / "run" / "results.json").exists()


@pytest.mark.parametrize("delay", [0.0, 1.0])
def test_sigkill_in_fit_leaves_a_run_that_resumes(shrunk, tmp_path, delay):
    words = [*shrunk, "--trainer.max_epochs=3", "--out=run"]
    process = subprocess.Popen(
        [sys.executable, "-m", "lightning_stdim", "fit", *words],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    last = tmp_path / "run" / "checkpoints" / "last.ckpt"
    deadline = time.monotonic() + 120
    while not last.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(delay)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert main(["fit", *words, "--ckpt_path=last"]) == 0
    assert main(["fit", *shrunk, "--trainer.max_epochs=3", "--out=whole"]) == 0
    assert results(tmp_path / "run")["scores"] == results(tmp_path / "whole")["scores"]
