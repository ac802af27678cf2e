"""``probe``: other policies, modules of the user's, colour, and what needs no encoder."""

import json
import os
import re
import sys

import numpy as np
from matplotlib.image import imread

from lightning_stdim.cli import main
from lightning_stdim.report.runs_on_disk import read_record
from lightning_stdim.runs.key import RunKey
from tests.cli.helpers import probe, results


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
    words = [*probe(small, "majority"), "--method_name=st-dim", "--run_key", given, "--out=keyed"]
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
    assert results(tmp_path / "scores")["method"] == "mine.Mine"
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
    assert results(tmp_path / "probed")["key"]["source"] == found["key"]
    assert results(tmp_path / "probed")["variant"] == found["variant"] == "pixels=rgb"
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


def test_what_differs_between_two_probes_is_in_their_keys(small, tmp_path):
    for options in ([], ["--pixels=rgb"], ["--hidden=4", "--standardize=true"]):
        assert main([*probe(small, "random"), "--protocols=paper", *options]) == 0
    record = read_record(tmp_path / "runs")  # refuses two of one identity
    folders = {run.folder.name: run.key.variant for run in record.runs}
    assert folders == {
        "breakout-probe-random-cnn-seed0": "",
        "breakout-probe-random-cnn-pixels-rgb-seed0": "pixels=rgb",
        "breakout-probe-random-cnn-hidden-4-seed0": "hidden=4",
    }


def test_probe_refuses_an_unknown_protocol_before_it_plays():
    assert main(["probe", "--encoder=random", "--protocols=paper,linear"]) == 2
    assert not os.path.exists("data")
