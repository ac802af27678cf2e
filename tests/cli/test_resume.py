"""Runs that go on: interrupted, moved, killed."""

import os
import signal
import subprocess
import sys
import time

import pytest
import torch
import yaml

from lightning_stdim.cli import main
from tests.cli.helpers import metrics, results, weights


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


@pytest.mark.parametrize("setting", ["typed", "in the run's configuration"])
def test_what_differs_from_the_run_is_refused(setting, shrunk, tmp_path, capsys):
    """It was dropped without a word, or recorded as if the whole run had had it."""
    assert main(["fit", *shrunk, "--preset=smoke", "--out=run"]) == 0
    (tmp_path / "run" / "results.json").unlink()
    configuration = tmp_path / "run" / "config.yaml"
    files = {path: path.read_bytes() for path in tmp_path.glob("run/*.*")}
    for words, said in (
        (["--model.lr=1e-9"], "model.lr=1e-09, but the checkpoint's run had 0.0003"),
        (["--model.patience=1"], "model.patience=1, but the checkpoint's run had 15"),
        (["--model=VICReg"], "--model VICReg, but the checkpoint is of lightning_stdim.methods.ST"),
        (["--model=vicreg"], "--model VICReg, but the checkpoint is of lightning_stdim.methods.ST"),
        (["--data.game=pong"], "data.game=pong, but the checkpoint's run had breakout"),
        (["--data.steps=1001"], "data.steps=1001, but the checkpoint's run had 1000"),
        (["--data.sampling=episodes"], "data.sampling=episodes, but the checkpoint's run had fra"),
        (["--seed=1"], "seed_everything=1, but the run has 0"),
        (["--preset=paper"], "preset=paper, but the run has smoke"),
    ):
        if setting != "typed" and words[0].startswith("--data."):
            option, value = words[0].removeprefix("--data.").split("=")
            content = yaml.safe_load(files[configuration])
            content["data"][option] = yaml.safe_load(value)
            configuration.write_text(yaml.safe_dump(content))
            words = []
        elif setting != "typed":
            continue
        before = configuration.read_bytes()
        for command in ("fit", "validate")[: 2 if said.startswith(("model", "--model")) else 1]:
            assert main([command, "--ckpt_path=run/checkpoints/last.ckpt", *words]) == 2
            assert said in capsys.readouterr().err
        assert configuration.read_bytes() == before
        configuration.write_bytes(files[configuration])
        assert {path: path.read_bytes() for path in tmp_path.glob("run/*.*")} == files
