"""Which cells there are."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

from lightning_stdim.benchmark.cells import Cell
from lightning_stdim.benchmark.grid import Axes, grid
from lightning_stdim.benchmark.report.tables import METHODS
from lightning_stdim.errors import ConfigurationError


def test_every_seed_completes_a_table_before_the_next() -> None:
    cells = grid(["Pong", "ALE/Boxing-v5"], ["majority", "st-dim"], [0, 1])
    assert cells == [
        Cell(game, method, seed)
        for seed in (0, 1)
        for game in ("pong", "boxing")
        for method in ("majority", "st-dim")
    ]


def test_all() -> None:
    cells = grid(["all"], ["all"], [0])
    assert len({cell.game for cell in cells}) == 22
    assert {cell.method for cell in cells} == set(METHODS) - {"pretrained-agent"}
    assert len(cells) == len(set(cells)) == 22 * (len(METHODS) - 1)
    # What is named twice is there once.
    assert grid(["pong", "all"], ["st-dim", "st-dim"], [0])[0] == Cell("pong", "st-dim", 0)
    assert len(grid(["pong", "all"], ["st-dim", "st-dim"], [0])) == 22


def names(cells: list[Cell]) -> list[str]:
    return [str(cell) for cell in cells]


def test_fewer_frames_take_more_epochs() -> None:
    axes = Axes(pretrain_steps=(1000, 3000))
    cells = grid(["pong"], ["majority", "st-dim"], [0], axes=axes, preset="laptop")
    assert names(cells) == [
        "pong majority seed 0",
        "pong st-dim steps=1000 seed 0",
        "pong st-dim steps=3000 seed 0",
    ]
    words = cells[1].arguments(preset="laptop", root="data", out=Path("out"))
    options = dict(pairwise(words))
    # The preset: 5 epochs of 16 000.
    assert (options["--data.steps"], options["--trainer.max_epochs"]) == ("1000", "80")
    assert options["--variant"] == "steps=1000"
    assert options["--out"] == "out/pong/st-dim,steps=1000/seed0"
    words = cells[2].arguments(preset="laptop", root="data", out=Path("out"))
    assert dict(pairwise(words))["--trainer.max_epochs"] == "27"


def test_every_encoder_is_probed_on_the_other_policys_frames() -> None:
    axes = Axes(policies=("random", "agents/{game}-ppo/policy.zip"))
    cells = grid(["pong"], ["majority", "st-dim"], [3], axes=axes)
    assert names(cells) == [
        "pong majority seed 3",
        "pong majority policy=pong-ppo seed 3",
        "pong st-dim seed 3",
        "pong st-dim policy=pong-ppo seed 3",
        "pong st-dim probe.policy=pong-ppo seed 3",
        "pong st-dim policy=pong-ppo,probe.policy=random seed 3",
    ]
    majority, trained, probed = (
        dict(pairwise(cells[k].arguments(preset="smoke", root="data", out=Path("out"))))
        for k in (1, 3, 5)
    )
    assert majority["--policy"] == trained["--data.policy"] == "agents/pong-ppo/policy.zip"
    assert probed["--policy"] == "random"
    assert probed["--encoder"] == "out/pong/st-dim,policy=pong-ppo/seed3/encoder"
    assert probed["--method"] == "st-dim"
    assert probed["--seed"] == "3"


def test_other_probes_take_the_same_encoder() -> None:
    axes = Axes(probes=("linear", "mlp"), classes=("all", "observed"))
    cells = grid(["pong"], ["majority", "st-dim"], [0], axes=axes)
    assert names(cells)[2:] == [
        "pong st-dim probe.classes=observed seed 0",
        "pong st-dim probe.hidden=256 seed 0",
        "pong st-dim probe.hidden=256,probe.classes=observed seed 0",
    ]
    assert all(cell.source == cells[1] for cell in cells[2:])
    words = cells[3].arguments(preset="smoke", root="data", out=Path("out"))
    assert dict(pairwise(words)).items() >= {("--hidden", "256"), ("--standardize", "true")}


def test_transfer_goes_from_every_game_to_every_other() -> None:
    cells = grid(["pong", "boxing"], ["st-dim"], [0], axes=Axes(transfer=True))
    assert names(cells) == [
        "pong st-dim seed 0",
        "boxing st-dim seed 0",
        "boxing st-dim from=pong seed 0",
        "pong st-dim from=boxing seed 0",
    ]
    words = dict(pairwise(cells[2].arguments(preset="smoke", root="data", out=Path("out"))))
    assert words["--game"] == "boxing"
    assert words["--encoder"] == "out/pong/st-dim/seed0/encoder"


@pytest.mark.parametrize(
    ("axes", "message"),
    [
        ({"pretrain_steps": "3000,many"}, "expected numbers of frames"),
        ({"pretrain_steps": "0"}, "pretrain_steps 0 is not positive"),
        ({"probes": "linear,mpl"}, "probes 'mpl' is unknown: choose from linear, mlp"),
        ({"classes": "some"}, "classes 'some' is unknown"),
    ],
)
def test_wrong_axes(axes: dict[str, str], message: str) -> None:
    usual = {"pretrain_steps": "", "policies": "", "probes": "linear", "classes": "all"}
    with pytest.raises(ConfigurationError, match=message):
        Axes.parse(**{**usual, **axes}, transfer=False)
    assert Axes.parse(**usual, transfer=False) == Axes()


def test_an_agent_needs_its_file() -> None:
    with pytest.raises(ConfigurationError, match=r"YAML file .*pretrained-agent\.md"):
        grid(["pong"], ["pretrained-agent"], [0])
