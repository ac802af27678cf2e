"""Options that are read from signatures and docstrings."""

import re
import shlex
from pathlib import Path

import h5py
import pytest

from lightning_stdim.cli import main


@pytest.mark.parametrize(
    "words",
    [
        ["--mixed_label_sets", "FOLDER"],
        ["FOLDER", "--mixed_label_sets"],
        ["FOLDER", "--mixed_label_sets", "true"],
        ["--mixed_label_sets", "FOLDER", "--into", "elsewhere"],
        ["--into", "elsewhere", "--mixed_label_sets", "FOLDER"],
        ["FOLDER", "--mixed_label_sets", "--out", "elsewhere"],
    ],
)
def test_a_switch_needs_no_value(words, tmp_path, capsys):
    """Whatever follows it: the command itself is reached, and finds no run in the folder."""
    assert main(["report", *(str(tmp_path) if w == "FOLDER" else w for w in words)]) != 0
    assert "no run has finished" in capsys.readouterr().err


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


@pytest.mark.parametrize(
    ("command", "missing"),
    [
        ("probe", "--encoder"),
        ("report", "RUNS"),
        ("export", "FILE, --format, --out"),
        ("describe", "FILES"),
        ("curve", "RUNS"),
    ],
)
def test_a_command_without_options_says_what_it_needs(command, missing, capsys):
    assert main([command]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"error: {command} needs {missing}; for example: ")
    assert said.count("\n") == 1
    (example,) = re.findall("for example: python -m lightning_stdim (.*); see", said)
    assert shlex.split(example)[0] == command
    with pytest.raises(SystemExit) as ended:  # the example is a command that is understood
        main([*shlex.split(example), "--print_config"])
    assert ended.value.code == 0


def test_the_other_commands_without_options_run_their_defaults(monkeypatch, tmp_path, capsys):
    """The work itself is left out: it would take minutes."""
    done = {}

    def collected(settings, **options):
        done["collect"] = settings.game, settings.steps
        (tmp_path / "made.h5").touch()
        return tmp_path / "made.h5"

    def ran(specs, *, preset, **options):
        done["benchmark"] = preset, len(specs)
        return 130  # as if interrupted: there is nothing to report

    def trained(game, *, steps, **options):
        done["train-policy"] = game, steps
        return Path("policy.zip")

    monkeypatch.setattr("lightning_stdim.datamodules.collection.collect.collect", collected)
    monkeypatch.setattr("lightning_stdim.benchmark.runner.run_grid", ran)
    train_ppo = "lightning_stdim.datamodules.policies.train_ppo"
    monkeypatch.setattr(f"{train_ppo}.train_ppo", trained)
    curve = [{"mean_return": None, "steps": 0, "games": 0}]
    monkeypatch.setattr(f"{train_ppo}.read_record", lambda path: {"curve": curve})
    assert [main([command]) for command in ("collect", "benchmark", "train-policy")] == [0, 130, 0]
    assert done == {
        "collect": ("pong", 100_000),
        "benchmark": ("laptop", 4),
        "train-policy": ("pong", 1_000_000),
    }
