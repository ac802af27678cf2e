"""``curve``: every snapshot is scored as ``probe`` scores it, once."""

import json
import shutil

import pytest
import yaml

from lightning_stdim.cli import main
from lightning_stdim.report.runs_on_disk import read_record
from lightning_stdim.runs import probe_snapshots
from lightning_stdim.runs.directory import hold_run
from tests.cli.helpers import probe, results


@pytest.fixture
def quick(shrunk, narrow):
    return [*shrunk, *narrow]


@pytest.fixture
def probings(monkeypatch):
    """The number of encoders that are probed."""
    seen = []

    def counted(encoder, data, **settings):
        seen.append(encoder)
        return evaluate(encoder, data, **settings)

    evaluate = probe_snapshots.evaluate
    monkeypatch.setattr(probe_snapshots, "evaluate", counted)
    return seen


def f1(folder):
    return {name: scores["f1"] for name, scores in results(folder)["scores"]["protocols"].items()}


def test_every_encoder_is_scored_as_probe_does_and_once(
    quick, small, tmp_path, probings, capsys, monkeypatch
):
    assert main(["fit", *quick, "--out=run", "--snapshots=0,1,3"]) == 0
    run, snapshots = tmp_path / "run", tmp_path / "run" / "snapshots"
    config = yaml.safe_load((run / "config.yaml").read_text())
    settings = {name: config[name] for name in ("paper", "converged")}
    (tmp_path / "same.yaml").write_text(yaml.safe_dump(settings))
    words = [*probe(small, "run/snapshots/step3.ckpt"), "--preset=same.yaml", "--controls=false"]
    assert main([*words, "--out=probed"]) == 0

    # Interrupted after two encoders, it goes on with the third.
    capsys.readouterr()
    whole = probe_snapshots.write_record

    def interrupted(folder, *arguments, **options):
        if folder.name == "step3":
            raise KeyboardInterrupt
        return whole(folder, *arguments, **options)

    monkeypatch.setattr(probe_snapshots, "write_record", interrupted)
    assert main(["curve", "run"]) == 130
    assert "to go on: python -m lightning_stdim curve run\n" in capsys.readouterr().err
    monkeypatch.setattr(probe_snapshots, "write_record", whole)
    probings.clear()
    assert main(["curve", "run"]) == 0
    assert len(probings) == 1
    assert f1(snapshots / "step3") == f1(tmp_path / "probed")
    record, probed = results(snapshots / "step3"), results(tmp_path / "probed")
    assert record["key"] == probed["key"]
    assert record["command"].endswith("curve run")
    assert record["environment"]["package"]
    assert record["budget"]["optimizer_steps"] == 3
    assert record["scores"]["settings"]["encoder"]["from"] == "snapshot"
    points = json.loads((snapshots / "curve.json").read_text())
    assert {(p["encoder"], p["step"], p["protocol"]) for p in points} == {
        (*encoder, protocol)
        for encoder in (("untrained", 0), ("snapshot", 1), ("snapshot", 3), ("kept", 3))
        for protocol in ("paper", "converged")
    }
    kept = {p["protocol"]: p["f1"] for p in points if p["encoder"] == "kept"}
    assert kept == f1(run) == f1(snapshots / "step3")  # the only epoch ended after three steps
    assert "breakout, converged: ST-DIM (seed 0) is" in capsys.readouterr().out

    # A report takes no snapshot for a run.
    assert [one.folder for one in read_record(run).runs] == [run]

    # Without a snapshot of step 0, the encoder is made again, with the same weights.
    before = f1(snapshots / "step0")
    shutil.rmtree(snapshots / "step0")
    (snapshots / "step0.ckpt").unlink()
    assert main(["curve", "run"]) == 0
    assert f1(snapshots / "step0") == before
    origin = results(snapshots / "step0")["scores"]["settings"]["encoder"]
    assert origin == {"from": "initialisation", "seed": 0}

    # Scores with other settings are not mixed with these.
    capsys.readouterr()
    (run / "config.yaml").write_text(
        yaml.safe_dump(config | {"paper": config["paper"] | {"lr": 0.1}})
    )
    assert main(["curve", "run"]) == 2
    said = capsys.readouterr().err
    assert "step0/results.json is of other settings: paper.lr was 0.0003, and now it is 0.1" in said
    with hold_run(tmp_path / "other"):
        assert main(["curve", "run", "--out=other", "--protocols=paper"]) == 2
    assert "other is in use by another process" in capsys.readouterr().err
    assert not (tmp_path / "other").exists()
    probings.clear()
    assert main(["curve", "run", "--out=other", "--protocols=paper"]) == 0
    assert len(probings) == 4  # the kept encoder, too
    assert f1(tmp_path / "other/snapshots/breakout/st-dim/seed0/step1").keys() == {"paper"}
    assert (tmp_path / "other" / "curve.png").is_file()


def test_several_methods_of_a_benchmark(quick, tmp_path, probings):
    """Unfinished runs, too; the second one's untrained encoder is made from its own class."""
    for name, model in (("one", "STDIM"), ("two", "VAE")):
        words = [f"--model={model}", *quick, f"--out=grid/{name}", "--snapshots=2"]
        assert main(["fit", *words]) == 0
        (tmp_path / "grid" / name / "results.json").unlink()
    assert main(["curve", "grid", "--protocols=converged"]) == 0
    assert len(probings) == 4
    folder = tmp_path / "runs" / "curves" / "breakout-st-dim-vae"
    points = json.loads((folder / "curve.json").read_text())
    assert {(p["method"], p["step"]) for p in points} == {
        (method, step) for method in ("st-dim", "vae") for step in (0, 2)
    }
    text = (folder / "curve.md").read_text()
    assert "| optimiser steps | VAE: F1 | VAE: gain | VAE: seeds | ST-DIM: F1 |" in text


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["run"], "run is no directory of a run of fit, and has none below it with snapshots"),
        (["run", "--probe_steps=10"], "give an --out"),
        (["run", "--device=tpu"], "tpu"),
    ],
)
def test_wrong_calls(words, said, tmp_path, capsys):
    (tmp_path / "run").mkdir()
    assert main(["curve", *words]) == 2
    assert said in capsys.readouterr().err


def test_a_run_without_snapshots(quick, capsys):
    assert main(["fit", "--model=RandomCNN", *quick, "--out=run"]) == 0
    capsys.readouterr()
    assert main(["curve", "run"]) == 2
    assert "run has no snapshots: train with fit --snapshots" in capsys.readouterr().err
