"""What a stranger asks first: versions, help, and what there is."""

import platform
from importlib.metadata import version
from itertools import pairwise

import pytest
import yaml

from lightning_stdim import __version__
from lightning_stdim.catalogue import METHODS
from lightning_stdim.cli import MODEL_COMMANDS, PLAIN_COMMANDS, main
from lightning_stdim.datamodules.labels import annotation, games
from lightning_stdim.presets import FOLDER


def printed(capsys, *words):
    """Run the command ``list``, and split its table by the columns' widths."""
    assert main(["list", *words]) == 0
    head, *rows = capsys.readouterr().out.splitlines()
    starts = [i for i in range(len(head)) if head[i] != " " and head[max(0, i - 2) : i].isspace()]
    edges = [0, *starts, None]
    return [[row[a:b].strip() for a, b in pairwise(edges)] for row in [head, *rows]]


def test_versions(capsys):
    assert main(["--version"]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith(f"lightning-stdim {__version__}")
    for package in ("torch", "pytorch-lightning", "ale-py"):
        assert f"{package} {version(package)}" in second
    assert second.endswith(f"Python {platform.python_version()}")


@pytest.mark.parametrize("command", ["collect", "probe", "list"])
def test_help_for_a_command_is_its_own_help(command, capsys):
    texts = []
    for words in (["help", command], [command, "--help"]):
        with pytest.raises(SystemExit) as ended:
            main(words)
        assert ended.value.code == 0
        texts.append(capsys.readouterr().out)
    assert texts[0] == texts[1]
    assert f"usage: python -m lightning_stdim {command}" in texts[0]


@pytest.mark.parametrize("words", [["help"], ["--help"], ["help", "help"]])
def test_help_alone_names_every_command(words, capsys):
    assert main(words) == 0
    said = capsys.readouterr().out
    assert all(f"\n  {command} " in said for command in {**MODEL_COMMANDS, **PLAIN_COMMANDS})


def test_list_alone_says_what_can_be_listed(capsys):
    assert main(["list"]) == 0
    said = capsys.readouterr().out
    for what in ("methods", "games", "labels", "labels GAME", "presets"):
        assert f"list {what} " in said
        assert main(["list", *what.replace("GAME", "Ms_Pacman").split()]) == 0


def test_methods(capsys):
    head, *rows = printed(capsys, "methods")
    assert head == ["method", "class", "learns from", "what it is"]
    assert [row[0] for row in rows] == list(METHODS)
    found = {row[0]: row[1:] for row in rows}
    assert found["st-dim"] == ["STDIM", "frames", "ST-DIM (Anand et al. 2019)."]
    assert found["majority"][0] == "-"
    assert found["supervised"][:2] == ["Supervised", "frames and labels"]
    assert all(row[3].endswith(".") for row in rows)


def test_games(capsys):
    head, *rows = printed(capsys, "games")
    assert head == ["game", "labels in paper", "labels in upstream"]
    assert [row[0] for row in rows] == list(games("upstream"))
    for game, *counts in rows:
        for label_set, count in zip(("paper", "upstream"), counts, strict=True):
            known = game in games(label_set)
            assert count == (str(len(annotation(game, label_set).variables)) if known else "-")


def test_labels(capsys):
    _, *sets = printed(capsys, "labels")
    assert [row[:3] for row in sets] == [["paper", "22", "308"], ["upstream", "24", "362"]]
    head, *rows = printed(capsys, "labels", "Qbert")
    assert head == ["label", "RAM bytes", "label sets", "scored in the paper", "categories"]
    assert {row[0] for row in rows} == set(annotation("qbert", "upstream").variables)
    found = {row[0]: row[1:] for row in rows}
    assert found["player_x"] == ["43", "paper, upstream", "yes", "agent_localization"]
    assert {row[2] for row in rows} == {"paper, upstream", "upstream"}


def test_presets(capsys):
    _, *rows = printed(capsys, "presets")
    shipped = {path.stem: yaml.safe_load(path.read_text()) for path in FOLDER.glob("*.yaml")}
    assert {row[0] for row in rows} == set(shipped)
    for name, steps, probe_steps, epochs, about in rows:
        data = shipped[name]["data"]
        assert (steps, probe_steps) == (str(data["steps"]), str(data["probe_steps"]))
        assert epochs == str(shipped[name]["trainer"]["max_epochs"])
        assert about.endswith(".")
        assert "#" not in about
