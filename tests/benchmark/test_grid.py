"""Which cells there are."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

from lightning_stdim.benchmark.cells import RunSpec
from lightning_stdim.benchmark.grid import Sweep, grid
from lightning_stdim.errors import ConfigurationError
from lightning_stdim.report.names import METHODS


def test_every_seed_completes_a_table_before_the_next() -> None:
    cells = grid(["Pong", "ALE/Boxing-v5"], ["majority", "st-dim"], [0, 1])
    assert cells == [
        RunSpec(game, method, seed)
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
    assert grid(["pong", "all"], ["st-dim", "st-dim"], [0])[0] == RunSpec("pong", "st-dim", 0)
    assert len(grid(["pong", "all"], ["st-dim", "st-dim"], [0])) == 22


def names(cells: list[RunSpec]) -> list[str]:
    return [str(cell) for cell in cells]


def test_fewer_frames_take_more_epochs() -> None:
    axes = Sweep(pretrain_steps=(1000, 3000))
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
    axes = Sweep(policies=("random", "agents/{game}-ppo/policy.zip"))
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
    axes = Sweep(probes=("linear", "mlp"), classes=("all", "observed"))
    cells = grid(["pong"], ["majority", "st-dim"], [0], axes=axes)
    assert names(cells)[2:] == [
        "pong st-dim probe.classes=observed seed 0",
        "pong st-dim probe.hidden=256 seed 0",
        "pong st-dim probe.hidden=256,probe.classes=observed seed 0",
    ]
    assert all(cell.source == cells[1] for cell in cells[2:])
    words = cells[3].arguments(preset="smoke", root="data", out=Path("out"))
    options = {"--hidden": "256", "--standardize": "true", "--protocols": "paper"}
    assert dict(pairwise(words)).items() >= options.items()


def test_nothing_is_run_twice() -> None:
    """A random encoder is the same whatever it would have been trained on."""
    axes = Sweep(modes=("0", "1"), probes=("linear", "mlp"), transfer=True)
    cells = grid(["pong"], ["random-cnn"], [0], axes=axes)
    assert [cell.variant for cell in cells] == [
        *("mode=0", "mode=1"),
        *(f"mode={mode},probe.mode={mode},probe.hidden=256" for mode in (0, 1)),
    ]
    cells = grid(["pong"], ["st-dim"], [0], axes=Sweep(pretrain_steps=(1000, 16_000)))
    assert [cell.variant for cell in cells] == ["steps=1000", ""]


def test_transfer_goes_from_every_game_to_every_other() -> None:
    cells = grid(["pong", "boxing"], ["st-dim"], [0], axes=Sweep(transfer=True))
    assert names(cells) == [
        "pong st-dim seed 0",
        "boxing st-dim seed 0",
        "boxing st-dim from=pong seed 0",
        "pong st-dim from=boxing seed 0",
    ]
    words = dict(pairwise(cells[2].arguments(preset="smoke", root="data", out=Path("out"))))
    assert words["--game"] == "boxing"
    assert words["--encoder"] == "out/pong/st-dim/seed0/encoder"


def test_every_encoder_is_probed_in_the_other_modes() -> None:
    axes = Sweep(modes=("default", "12"))
    cells = grid(["breakout"], ["majority", "st-dim"], [0], axes=axes)
    assert names(cells) == [
        "breakout majority seed 0",
        "breakout majority mode=12 seed 0",
        "breakout st-dim seed 0",
        "breakout st-dim mode=12 seed 0",
        "breakout st-dim probe.mode=12 seed 0",
        "breakout st-dim mode=12,probe.mode=default seed 0",
    ]
    majority, trained, there, back = (
        dict(pairwise(cells[k].arguments(preset="smoke", root="data", out=Path("out"))))
        for k in (1, 3, 4, 5)
    )
    assert majority["--mode"] == trained["--data.mode"] == there["--mode"] == "12"
    assert "--mode" not in back
    assert back["--encoder"] == "out/breakout/st-dim,mode=12/seed0/encoder"


def test_axes_together_are_a_product() -> None:
    axes = Sweep(policies=("random", "ppo.zip"), modes=("default", "12"), classes=("observed",))
    cells = grid(["breakout"], ["st-dim"], [0], axes=axes)
    trained = [cell for cell in cells if cell.source is None]
    assert [cell.variant for cell in trained] == [
        *("", "mode=12", "policy=ppo", "policy=ppo,mode=12"),
    ]
    probed = [cell.variant for cell in cells if cell.source == trained[3]]
    own = "policy=ppo,mode=12"
    assert probed == [
        # Its own frames are not the preset's, and the command has to say so.
        f"{own},probe.policy=ppo,probe.mode=12,probe.classes=observed",
        f"{own},probe.policy=random,probe.mode=default",
        f"{own},probe.policy=random,probe.mode=12",
        f"{own},probe.policy=ppo,probe.mode=default",
    ]


def test_transfer_keeps_to_the_frames_of_its_kind() -> None:
    axes = Sweep(policies=("random", "{game}.zip"), transfer=True)
    cells = grid(["pong", "boxing"], ["st-dim"], [0], axes=axes)
    transferred = [cell for cell in cells if cell.source and cell.source.game != cell.game]
    assert names(transferred) == [
        "boxing st-dim from=pong seed 0",
        "boxing st-dim policy=pong,from=pong,probe.policy=boxing seed 0",
        "pong st-dim from=boxing seed 0",
        "pong st-dim policy=boxing,from=boxing,probe.policy=pong seed 0",
    ]


@pytest.mark.parametrize(
    ("axes", "message"),
    [
        ({"pretrain_steps": "3000,many"}, "expected numbers of frames"),
        ({"pretrain_steps": "0"}, "pretrain_steps 0 is not positive"),
        ({"probes": "linear,mpl"}, "probes 'mpl' is unknown: choose from linear, mlp"),
        ({"classes": "some"}, "classes 'some' is unknown"),
        ({"modes": "default,hard"}, "mode 'hard': expected a number or default"),
    ],
)
def test_wrong_axes(axes: dict[str, str], message: str) -> None:
    usual = {"pretrain_steps": "", "policies": "", "modes": ""}
    usual |= {"probes": "linear", "classes": "all"}
    with pytest.raises(ConfigurationError, match=message):
        Sweep.parse(**{**usual, **axes}, transfer=False)
    assert Sweep.parse(**usual, transfer=False) == Sweep()


def test_a_mode_that_a_game_has_not_is_told_before_the_start() -> None:
    with pytest.raises(ConfigurationError, match="pong has no mode 12: choose from 0, 1"):
        grid(["breakout", "pong"], ["st-dim"], [0], axes=Sweep(modes=("12",)))


def test_an_agent_needs_its_file() -> None:
    with pytest.raises(ConfigurationError, match=r"YAML file .*pretrained-agent\.md"):
        grid(["pong"], ["pretrained-agent"], [0])
