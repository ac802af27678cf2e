"""Runs of ``fit`` are read back as they were made, also by an older version."""

import pytest
import torch
import yaml

from lightning_stdim.errors import ConfigurationError, StoreError
from lightning_stdim.methods import STDIM
from lightning_stdim.probes import PaperSettings
from lightning_stdim.runs.key import RunKey
from lightning_stdim.runs.results import write_results
from lightning_stdim.runs.trained_run import TrainedRun, runs_with_snapshots

OLD = """# lightning.pytorch==2.6.6
seed_everything: 7
trainer:
  precision: bf16-mixed
  callbacks:
  - class_path: lightning.pytorch.callbacks.ModelCheckpoint
    init_args: {dirpath: runs/old/snapshots, filename: "step{step}", save_weights_only: true}
  max_epochs: 100
model:
  class_path: lightning_stdim.methods.STDIM
  init_args: {terms: both, encoder: null, encoder_args: null, pixels: luma, lr: 0.0003}
data: {game: pong, steps: 100000, probe_steps: 50000, seed: null, root: data, policy: random,
  split_order: time, stage: null, sequence_length: null}
out: runs/old
preset: paper
method: null
controls: true
variant: ''
paper: {lr: 0.0003, max_epochs: 90, restore: best}
converged: {strengths: [0.1, 0.01], criterion: accuracy}
ckpt_path: null
weights_only: null
"""
"""A configuration from before classes were named by pytorch_lightning, with fewer options."""


@pytest.fixture
def old(tmp_path):
    folder = tmp_path / "old"
    folder.mkdir()
    (folder / "config.yaml").write_text(OLD)
    return folder


def test_an_older_version_s_configuration(old):
    run = TrainedRun.read(old)
    assert run.key == RunKey("pong", "st-dim", 7)
    assert (run.preset, run.seed, run.results) == ("paper", 7, None)
    assert (run.data.seed, run.data.probe_steps, run.data.split_order) == (7, 50000, "time")
    assert run.data.stage == "probe"
    assert run.protocols == ("paper", "converged")
    assert run.probes["paper"] == PaperSettings(max_epochs=90)
    assert run.probes["converged"].strengths == (0.1, 0.01)
    assert run.pretrains
    (old / "config.yaml").write_text(OLD + "protocols: converged,challenge\nchallenge: {lr: 0.1}")
    run = TrainedRun.read(old)
    assert run.protocols == ("converged", "challenge")
    assert run.probes["challenge"].lr == 0.1


def test_what_the_command_changes(old):
    run = TrainedRun.read(old, protocols=["converged"], probe_steps=600, root="x", workers=None)
    assert run.protocols == ("converged",)
    assert (run.data.probe_steps, str(run.data.root)) == (600, "x")


def test_the_initial_encoder_is_the_one_that_training_started_from(old):
    torch.manual_seed(7)
    expected = STDIM().encoder.state_dict()
    torch.manual_seed(3)
    state = torch.get_rng_state()
    encoder = TrainedRun.read(old).initial_encoder()
    assert torch.equal(torch.get_rng_state(), state)
    assert not encoder.training
    for name, value in encoder.state_dict().items():
        assert torch.equal(value, expected[name])


def test_a_finished_run_s_key_is_that_of_its_results(old, make_result):
    key = RunKey("pong", "mine", 7, options=(("steps", "3000"),))
    write_results(old, make_result("mine", 7, key=key.to_dict()))
    run = TrainedRun.read(old)
    assert run.key == key
    assert run.results["method"] == "mine"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"seed_everything": True}, "seed_everything"),
        ({"data": {"game": "pong", "colour": 1}}, "colour"),
        ({"protocols": "paper,best"}, "best"),
        ({"model": "STDIM"}, "config.yaml"),
        ({"model": {"class_path": "nobody.Nothing"}}, "nobody.Nothing"),
    ],
)
def test_what_cannot_be_used_is_named(changes, said, old):
    (old / "config.yaml").write_text(yaml.safe_dump(yaml.safe_load(OLD) | changes))
    with pytest.raises(ConfigurationError, match=said):
        TrainedRun.read(old)


def test_arguments_that_a_class_no_longer_takes(old):
    (old / "config.yaml").write_text(OLD.replace("terms: both", "words: both"))
    with pytest.raises(ConfigurationError, match="words"):
        TrainedRun.read(old).initial_encoder()


def test_runs_below_a_directory(old, tmp_path):
    with pytest.raises(StoreError, match="has none below it with snapshots"):
        runs_with_snapshots(tmp_path)
    assert runs_with_snapshots(old) == [old]
    (old / "snapshots").mkdir()
    (old / "snapshots" / "step2.ckpt").touch()
    (tmp_path / "without").mkdir()
    (tmp_path / "without" / "config.yaml").write_text(OLD)
    assert runs_with_snapshots(tmp_path) == [old]
    with pytest.raises(StoreError, match="no directory of a run of fit"):
        TrainedRun.read(tmp_path)
