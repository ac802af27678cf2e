"""``fit``: presets, models, configurations, names of runs."""

import json
import shutil
import sys

import pytest
import yaml

from lightning_stdim.cli import main
from lightning_stdim.datamodules.labels.annotations import annotation
from lightning_stdim.presets import FOLDER, read_preset, read_specials
from lightning_stdim.runs.key import RunKey
from lightning_stdim.runs.predictions import Predictions
from tests.cli.helpers import metrics, probe, results, weights

PRESETS = sorted(path.stem for path in FOLDER.glob("*.yaml"))


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
    challenge = preset.startswith("challenge")
    protocols = {"paper", "converged", *(["challenge"] if challenge else [])}
    assert set(found["scores"]["protocols"]) == protocols
    for protocol in found["scores"]["protocols"].values():
        values = protocol["f1"]["variables"]
        variables = set(annotation("breakout", "paper").variables)
        assert set(values) | set(found["scores"]["dropped"]) == variables
        assert all(0 <= value <= 1 for value in values.values())
    predictions = Predictions.read(run)
    assert set(predictions.predicted) == protocols
    assert predictions.variables == tuple(values)
    assert any(row.get("train/loss") for row in metrics(run))
    assert yaml.safe_load((run / "config.yaml").read_text())["data"]["game"] == "breakout"
    kept = ("last",) if challenge else ("best", "last")
    assert {path.stem for path in (run / "checkpoints").iterdir()} == set(kept)
    for name in kept:
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
@pytest.mark.parametrize(("preset", "steps"), [("paper", 100_000), ("laptop", 16_000)])
def test_no_preset_leaks_into_another(preset, steps, model, capsys):
    config = str(FOLDER / f"{preset}.yaml")
    with pytest.raises(SystemExit):
        main(["fit", "--config", config, "--model", model, "--print_config"])
    settings = yaml.safe_load(capsys.readouterr().out)
    assert settings["data"]["steps"] == steps
    assert settings["model"]["init_args"]["lr"] == 3e-4


@pytest.mark.parametrize("preset", ["laptop", "challenge"])
def test_a_preset_in_bfloat16_differs_in_the_precision_alone(preset):
    settings = read_preset(f"{preset}-bf16")
    assert settings.pop("preset") == f"{preset}-bf16"
    assert settings["trainer"].pop("precision") == "bf16-mixed"
    assert settings == {k: v for k, v in read_preset(preset).items() if k != "preset"}
    assert read_specials(f"{preset}-bf16") == read_specials(preset)


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


def test_protocols_are_those_of_the_preset_or_of_the_option(shrunk, small, tmp_path, capsys):
    preset = tmp_path / "mine.yaml"
    preset.write_text(
        "preset: mine\n"
        "model: lightning_stdim.methods.RandomCNN\n"
        "protocols: converged,challenge\n"
        "challenge: {max_epochs: 2}\n"
    )
    words = [*shrunk, f"--config={preset}", "--challenge.lr=0.01"]
    assert main(["fit", *words, "--out=run"]) == 0
    assert "report's F1" in capsys.readouterr().out
    found = results(tmp_path / "run")["scores"]
    assert set(found["protocols"]) == {"converged", "challenge"}
    challenge = found["settings"]["challenge"]
    assert (challenge["lr"], challenge["max_epochs"]) == (0.01, 2)
    assert {"f1", "report_f1", "accuracy"} <= set(found["protocols"]["challenge"])
    assert set(Predictions.read(tmp_path / "run").predicted) == {"converged", "challenge"}
    # The checkpoint's configuration says it again; probe takes it from the preset.
    assert main(["test", "--ckpt_path=run/checkpoints/best.ckpt"]) == 0
    assert "report's F1" in capsys.readouterr().out
    encoder = str(tmp_path / "run" / "encoder")
    again = [*probe(small, encoder), f"--preset={preset}", "--controls=false"]
    assert main([*again, "--protocols=challenge", "--out=probed"]) == 0
    once_more = results(tmp_path / "probed")["scores"]
    assert set(once_more["protocols"]) == {"challenge"}
    assert once_more["settings"]["challenge"]["lr"] == 0.05


def test_what_challenge_cannot_probe_is_refused_before_training(shrunk, tmp_path, capsys):
    (tmp_path / "deaf.py").write_text(
        "from torch import nn\n"
        "class Deaf(nn.Module):\n"
        "    def __init__(self):\n"
        "        super().__init__()\n"
        "        self.layer = nn.Linear(210, 3)\n"
        "    def forward(self, frames):\n"
        "        return self.layer(frames.float().mean(3).flatten(1))\n"
    )
    words = ["fit", *shrunk, "--model=VICReg", "--model.encoder=deaf.Deaf", "--out=run"]
    assert main([*words, "--protocols=paper,challenge"]) == 2
    assert "Deaf cannot be told so" in capsys.readouterr().err
    assert not list((tmp_path / "run").rglob("*.ckpt"))


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


def test_supervised_training_the_report_s_way(shrunk, tmp_path):
    model = "Supervised --model.optimizers per_variable --model.patience null --model.eps 1e-8"
    model += " --model.encoder_args.initialization pytorch"
    model += " --model.encoder_args.scale_frames false"
    words = ["--model", *model.split(), "--trainer.callbacks+=DeadUnits"]
    assert main(["fit", *words, *shrunk, "--out", "run"]) == 0
    found = results(tmp_path / "run")
    settings = found["scores"]["settings"]["supervised"]
    assert settings["optimizers"] == "per_variable"
    assert settings["patience"] is None
    assert settings["encoder_args"] == {"initialization": "pytorch", "scale_frames": False}
    variables = found["scores"]["protocols"]["supervised"]["f1"]["variables"]
    assert found["budget"]["optimizer_steps"] == 3 * len(variables)  # three batches
    assert {f"train/loss/{name}" for name in variables} < set(metrics(tmp_path / "run")[0])
    layers = ("local_layers.1", "local_layers.3", "local_layers.5", "global_layers.1")
    dead = {f"health/dead_units/encoder.{layer}" for layer in layers}
    assert dead < set(metrics(tmp_path / "run")[0])
    # The last weights are the ones to keep, so there is no best checkpoint.
    kept = [path.name for path in (tmp_path / "run" / "checkpoints").iterdir()]
    assert kept == ["last.ckpt"]


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
        ("second", ["--method_name=ours"], ""),
    ):
        assert main(["fit", f"--model={module}.Mine", *shrunk, *words]) == 0
        (folder,) = tmp_path.glob("runs/*")
        found = results(folder)
        method = "ours" if "--method_name=ours" in words else f"{module}.Mine"
        assert (found["method"], found["variant"]) == (method, variant)
        stored = RunKey.from_dict(found["key"])
        assert (stored.game, stored.method, stored.seed) == ("breakout", method, 0)
        assert stored.variant == variant
        shutil.rmtree(folder)
    assert RunKey.from_dict(found["key"]).options == ()


def test_nan_in_the_loss_stops_the_run(shrunk, tmp_path, capsys):
    (tmp_path / "diverging.py").write_text(
        "from lightning_stdim.methods import STDIM\n"
        "class Broken(STDIM):\n"
        "    def loss(self, batch):\n"
        "        return {k: v * float('nan') for k, v in super().loss(batch).items()}\n"
    )
    sys.path.insert(0, str(tmp_path))
    try:
        assert main(["fit", "--model=diverging.Broken", *shrunk, "--out=run"]) == 2
    finally:
        sys.path.remove(str(tmp_path))
    assert "became nan" in capsys.readouterr().err
    assert not (tmp_path / "run" / "results.json").exists()
