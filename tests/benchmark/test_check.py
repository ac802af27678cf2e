"""A benchmark tries its runs before it starts the first one."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from lightning_stdim.benchmark.check import check_runs
from lightning_stdim.benchmark.grid import grid
from lightning_stdim.cli import main
from tests.specs import spec

MODULE = """
import os
import torch
from lightning_stdim import SSLMethod
from torch import nn

class Mine(SSLMethod):
    def loss(self, batch):
        past, present = (self.encoder(frames) for frames in batch.frames)
        return {"loss": (past - present).square().mean()}

class NoDict(Mine):
    def loss(self, batch):
        return super().loss(batch)["loss"]

class Ends(Mine):
    def __init__(self):
        print("no licence", flush=True)
        os._exit(3)

class Encoder(nn.Module):
    def forward(self, frames):
        return frames.float().mean((1, 2, 3))

class Rows(nn.Module):
    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))
    def forward(self, frames):
        return self.scale * frames.float().mean(3).flatten(1)

def wild(n_actions, rng):
    return lambda view: n_actions
"""
FILES = {
    "other-model": {"trainer": {"max_epochs": 2}},  # the preset's
    "no-model": {"model": None},
    "wrong-argument": {"model": {"class_path": "mine_to_check.Mine", "init_args": {"size": 3}}},
    "flat-encoder": {
        "model": {
            "class_path": "mine_to_check.Mine",
            "init_args": {"encoder": "mine_to_check.Encoder"},
        }
    },
    "wrong-callback": {"trainer": {"callbacks": [{"class_path": "mine_to_check.Nothing"}]}},
    "untold-encoder": {
        "model": {
            "class_path": "mine_to_check.Mine",
            "init_args": {"encoder": "mine_to_check.Rows"},
        },
        "protocols": "challenge",
    },
}


@pytest.fixture
def users_code(tmp_path: Path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine_to_check.py").write_text(MODULE)
    for name, settings in FILES.items():
        (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump(settings))
    return tmp_path


def test_all_that_would_fail_is_told_at_once(users_code: Path) -> None:
    classes = [f"mine_to_check.{name}" for name in ("Mine", "NoDict", "Ends", "Nothing")]
    methods = ["majority", *classes, "no_module.Mine", *(f"{n}.yaml" for n in FILES)]
    policies = ("random", "gone.zip", "mine_to_check:wild")
    specs = [
        spec(game, method, seed, (("policy", policy),))
        for seed in (0, 1)
        for game in ("pong", "breakout")
        for method in methods
        for policy in policies
    ]
    before = {path.name for path in users_code.iterdir()}
    found = dict(one.split(": ", 1) for one in check_runs(specs, preset="smoke", root="data"))
    assert {path.name for path in users_code.iterdir()} - before <= {"__pycache__"}
    expected = {
        "mine_to_check.NoDict": "`loss` must return a dict with 'loss'",
        "mine_to_check.Ends": "it ends the process with status 3: no licence",
        "mine_to_check.Nothing": "has no attribute 'Nothing'",
        "no_module.Mine": "No module named 'no_module'",
        "no-model.yaml": "required: --model",
        "wrong-argument.yaml": "Option 'size' is not accepted",
        "flat-encoder.yaml": "must return a float tensor [B, D] with B = 2",
        "wrong-callback.yaml": "has no attribute 'Nothing'",
        "untold-encoder.yaml": "Rows cannot be told so",
        **{
            f"policy {policy} on {game}": message
            for game, actions in (("pong", 6), ("breakout", 4))
            for policy, message in (
                ("gone.zip", "there is no policy gone.zip"),
                ("mine_to_check:wild", f"returned {actions}: an action is an integer in 0.."),
            )
        },
    }
    assert found.keys() == expected.keys()
    for name, message in expected.items():
        assert message in found[name], name


def test_a_benchmark_that_only_probes_needs_no_process(monkeypatch) -> None:
    monkeypatch.setattr("subprocess.Popen", None)
    assert check_runs(grid(["pong"], ["majority"], [0]), preset="smoke", root="data") == []
    assert check_runs([], preset="smoke", root="data") == []


@pytest.fixture
def wrong(monkeypatch) -> list[object]:
    """A check that finds something, and a list of the grids that are run nevertheless."""
    started: list[object] = []

    def ran(specs, *, check, **options):
        check(specs)
        started.append(specs)
        return 130

    monkeypatch.setattr(
        "lightning_stdim.benchmark.check.check_runs", lambda *a, **k: ["st-dim: no"]
    )
    monkeypatch.setattr("lightning_stdim.benchmark.runner.run_grid", ran)
    return started


@pytest.mark.parametrize("words", [[], ["--estimate"], ["--estimate", "--launcher=srun"]])
def test_nothing_is_started_here(words, wrong, tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["benchmark", "--methods=st-dim", *words]) == 2
    said = capsys.readouterr().err
    assert said == "error: nothing was started, since these would fail:\n  st-dim: no\n"
    assert not wrong


@pytest.mark.parametrize("words", [["--launcher=srun -n1"], ["--executor=ray"]])
def test_other_machines_may_have_what_is_missing_here(words, wrong, capsys) -> None:
    assert main(["benchmark", "--methods=st-dim", *words]) == 130
    assert "warning: these would fail here" in capsys.readouterr().err
    assert len(wrong) == 1
