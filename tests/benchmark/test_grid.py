"""Which runs there are, what they are called, and how they are made."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml

from lightning_stdim.benchmark.grid import Sweep, grid
from lightning_stdim.benchmark.run_spec import RunSpec
from lightning_stdim.catalogue import METHODS
from lightning_stdim.cli import main
from lightning_stdim.errors import ConfigurationError
from lightning_stdim.runs.grid_record import GridRecord
from lightning_stdim.runs.key import RunKey
from tests.specs import spec


def test_every_seed_completes_a_table_before_the_next() -> None:
    runs = grid(["Pong", "ALE/Boxing-v5"], ["majority", "st-dim"], [0, 1])
    assert runs == [
        spec(game, method, seed)
        for seed in (0, 1)
        for game in ("pong", "boxing")
        for method in ("majority", "st-dim")
    ]


def test_all() -> None:
    runs = grid(["all"], ["all"], [0])
    assert len({run.key.game for run in runs}) == 22
    assert {run.key.method for run in runs} == set(METHODS) - {"pretrained-agent"}
    assert len(runs) == len(set(runs)) == 22 * (len(METHODS) - 1)
    # What is named twice is there once.
    assert grid(["pong", "all"], ["st-dim", "st-dim"], [0])[0] == spec("pong", "st-dim", 0)
    assert len(grid(["pong", "all"], ["st-dim", "st-dim"], [0])) == 22


def names(runs: list[RunSpec]) -> list[str]:
    return [str(run) for run in runs]


def test_fewer_frames_take_more_epochs() -> None:
    sweep = Sweep(pretrain_steps=(1000, 3000))
    runs = grid(["pong"], ["majority", "st-dim"], [0], sweep=sweep, preset="laptop")
    assert names(runs) == [
        "pong majority seed 0",
        "pong st-dim steps=1000 seed 0",
        "pong st-dim steps=3000 seed 0",
    ]
    argv = runs[1].arguments(preset="laptop", root="data", out=Path("out"))
    options = dict(pairwise(argv))
    # The preset: 5 epochs of 16 000.
    assert (options["--data.steps"], options["--trainer.max_epochs"]) == ("1000", "80")
    assert json.loads(options["--run_key"]) == {
        "options": [["steps", "1000"]],
        "source": None,
    }
    assert options["--out"] == "out/pong/st-dim,steps=1000/seed0"
    argv = runs[2].arguments(preset="laptop", root="data", out=Path("out"))
    assert dict(pairwise(argv))["--trainer.max_epochs"] == "27"


def test_what_trains_keeps_snapshots() -> None:
    runs = grid(["pong"], ["majority", "random-cnn", "st-dim", "supervised"], [0], preset="smoke")
    given = {
        run.method: dict(
            pairwise(
                run.arguments(preset="smoke", root="data", out=Path("out"), snapshots="0,1000")
            )
        ).get("--snapshots")
        for run in runs
    }
    assert given == {
        "majority": None,
        "random-cnn": None,
        "st-dim": "0,1000",
        "supervised": "0,1000",
    }


def settings_of(method: str, preset: str, capsys) -> dict[str, Any]:
    """The settings that the command of a benchmark's run stands for."""
    (run,) = grid(["pong"], [method], [0], preset=preset)
    with pytest.raises(SystemExit):
        main([*run.arguments(preset=preset, root="data", out=Path("out")), "--print_config"])
    return yaml.safe_load(capsys.readouterr().out)


def test_a_preset_can_set_something_for_one_method_alone(tmp_path: Path, capsys) -> None:
    preset = tmp_path / "mine.yaml"
    preset.write_text("preset: mine\ntrainer: {max_epochs: 2}\ndata: {steps: 7000}\n")
    before = GridRecord.of(str(preset), {})
    own = tmp_path / "mine" / "st-dim.yaml"
    own.parent.mkdir()
    own.write_text("trainer: {max_epochs: 3}\n")
    for method, epochs in (("st-dim", 3), ("supervised", 2)):
        settings = settings_of(method, str(preset), capsys)
        assert settings["trainer"]["max_epochs"] == epochs
        assert settings["data"]["steps"] == 7000
    after = GridRecord.of(str(preset), {})
    assert not before.has_preset_of(after)
    own.write_text("# as before\ntrainer: {max_epochs: 3}\n")
    assert GridRecord.of(str(preset), {}).has_preset_of(after)


@pytest.mark.parametrize("method", ["st-dim", "random-cnn", "supervised"])
def test_what_the_challenge_preset_gives_each_method(method, capsys) -> None:
    settings = settings_of(method, "challenge", capsys)
    assert (settings["preset"], settings["method_name"]) == ("challenge", method)
    model = settings["model"]["init_args"]
    assert settings["keep"] == "last"
    assert settings["data"]["environment"] == "challenge-v0"
    assert model["encoder_args"]["initialization"] == "pytorch"
    if method == "st-dim":
        assert (model["predict"], model["lr"], model["eps"]) == ("present", 3e-4, 1e-5)
        assert settings["trainer"]["max_epochs"] == 43
    if method == "supervised":
        assert model["encoder_args"]["scale_frames"] is False
        assert (model["lr"], model["eps"]) == (3e-4, 1e-8)
        assert (model["optimizers"], model["patience"]) == ("per_variable", None)
    else:
        assert model["encoder_args"].get("scale_frames", True)


@pytest.mark.parametrize("method", ["majority", "st-dim"])
def test_the_frames_of_a_preset_are_no_options_of_its_runs(method: str) -> None:
    (run,) = grid(["pong"], [method], [0])
    argv = run.arguments(preset="challenge", root="data", out=Path("out"))
    assert json.loads(dict(pairwise(argv))["--run_key"]) == {"options": [], "source": None}
    assert "--run_key" not in run.arguments(preset="smoke", root="data", out=Path("out"))


def test_protocols_are_passed_on_and_checked() -> None:
    for run in grid(["pong"], ["majority", "st-dim"], [0], protocols="paper,challenge"):
        argv = run.arguments(preset="smoke", root="data", out=Path("out"))
        assert dict(pairwise(argv))["--protocols"] == "paper,challenge"
    for run in grid(["pong"], ["majority", "st-dim"], [0]):
        assert "--protocols" not in run.arguments(preset="smoke", root="data", out=Path("out"))
    with pytest.raises(ConfigurationError, match=r"\['linear'\]: choose from"):
        grid(["pong"], ["st-dim"], [0], protocols="linear")


def test_every_encoder_is_probed_on_the_other_policys_frames() -> None:
    sweep = Sweep(policies=("random", "agents/{game}-ppo/policy.zip"))
    runs = grid(["pong"], ["majority", "st-dim"], [3], sweep=sweep)
    assert names(runs) == [
        "pong majority seed 3",
        "pong majority policy=pong-ppo seed 3",
        "pong st-dim seed 3",
        "pong st-dim policy=pong-ppo seed 3",
        "pong st-dim probe.policy=pong-ppo seed 3",
        "pong st-dim policy=pong-ppo,probe.policy=random seed 3",
    ]
    majority, trained, probed = (
        dict(pairwise(runs[k].arguments(preset="smoke", root="data", out=Path("out"))))
        for k in (1, 3, 5)
    )
    assert majority["--policy"] == trained["--data.policy"] == "agents/pong-ppo/policy.zip"
    assert probed["--policy"] == "random"
    assert probed["--encoder"] == "out/pong/st-dim,policy=pong-ppo/seed3/encoder"
    assert probed["--method_name"] == "st-dim"
    key = json.loads(probed["--run_key"])
    assert key == {"options": [["policy", "random"]], "source": runs[3].key.to_dict()}
    assert RunKey.from_dict({"game": "pong", "method": "st-dim", "seed": 3, **key}) == runs[5].key
    # What is as the preset says needs no words.
    plain = runs[0].arguments(preset="smoke", root="data", out=Path("out"))
    assert "--run_key" not in plain
    assert ("--method_name", "majority") in pairwise(plain)
    assert probed["--seed"] == "3"


def test_other_probes_take_the_same_encoder() -> None:
    sweep = Sweep(probes=("linear", "mlp"), classes=("all", "observed"))
    runs = grid(["pong"], ["majority", "st-dim"], [0], sweep=sweep)
    assert names(runs)[2:] == [
        "pong st-dim probe.classes=observed seed 0",
        "pong st-dim probe.hidden=256 seed 0",
        "pong st-dim probe.hidden=256,probe.classes=observed seed 0",
    ]
    assert all(run.key.source == runs[1].key for run in runs[2:])
    assert runs[3].key.options == (("hidden", "256"),)  # without what follows from it
    argv = runs[3].arguments(preset="smoke", root="data", out=Path("out"))
    options = {"--hidden": "256", "--standardize": "true", "--protocols": "paper"}
    assert dict(pairwise(argv)).items() >= options.items()


def test_nothing_is_run_twice() -> None:
    """A random encoder is the same whatever it would have been trained on."""
    sweep = Sweep(modes=("0", "1"), probes=("linear", "mlp"), transfer=True)
    runs = grid(["pong"], ["random-cnn"], [0], sweep=sweep)
    assert [run.key.variant for run in runs] == [
        *("mode=0", "mode=1"),
        *(f"mode={mode},probe.mode={mode},probe.hidden=256" for mode in (0, 1)),
    ]
    runs = grid(["pong"], ["st-dim"], [0], sweep=Sweep(pretrain_steps=(1000, 16_000)))
    assert [run.key.variant for run in runs] == ["steps=1000", ""]


def test_transfer_goes_from_every_game_to_every_other() -> None:
    runs = grid(["pong", "boxing"], ["st-dim"], [0], sweep=Sweep(transfer=True))
    assert names(runs) == [
        "pong st-dim seed 0",
        "boxing st-dim seed 0",
        "boxing st-dim from=pong seed 0",
        "pong st-dim from=boxing seed 0",
    ]
    options = dict(pairwise(runs[2].arguments(preset="smoke", root="data", out=Path("out"))))
    assert options["--game"] == "boxing"
    assert options["--encoder"] == "out/pong/st-dim/seed0/encoder"
    key = json.loads(options["--run_key"])
    assert key == {"options": [], "source": runs[0].key.to_dict()}


def test_every_encoder_is_probed_in_the_other_modes() -> None:
    sweep = Sweep(modes=("default", "12"))
    runs = grid(["breakout"], ["majority", "st-dim"], [0], sweep=sweep)
    assert names(runs) == [
        "breakout majority seed 0",
        "breakout majority mode=12 seed 0",
        "breakout st-dim seed 0",
        "breakout st-dim mode=12 seed 0",
        "breakout st-dim probe.mode=12 seed 0",
        "breakout st-dim mode=12,probe.mode=default seed 0",
    ]
    majority, trained, there, back = (
        dict(pairwise(runs[k].arguments(preset="smoke", root="data", out=Path("out"))))
        for k in (1, 3, 4, 5)
    )
    assert majority["--mode"] == trained["--data.mode"] == there["--mode"] == "12"
    assert "--mode" not in back
    assert back["--encoder"] == "out/breakout/st-dim,mode=12/seed0/encoder"


def test_swept_values_together_are_a_product() -> None:
    sweep = Sweep(policies=("random", "ppo.zip"), modes=("default", "12"), classes=("observed",))
    runs = grid(["breakout"], ["st-dim"], [0], sweep=sweep)
    trained = [run for run in runs if run.key.source is None]
    assert [run.key.variant for run in trained] == [
        *("", "mode=12", "policy=ppo", "policy=ppo,mode=12"),
    ]
    probed = [run.key.variant for run in runs if run.key.source == trained[3].key]
    own = "policy=ppo,mode=12"
    assert probed == [
        # Its own frames are not the preset's, and the command has to say so.
        f"{own},probe.policy=ppo,probe.mode=12,probe.classes=observed",
        f"{own},probe.policy=random,probe.mode=default",
        f"{own},probe.policy=random,probe.mode=12",
        f"{own},probe.policy=ppo,probe.mode=default",
    ]


def test_transfer_keeps_to_the_frames_of_its_kind() -> None:
    sweep = Sweep(policies=("random", "{game}.zip"), transfer=True)
    runs = grid(["pong", "boxing"], ["st-dim"], [0], sweep=sweep)
    transferred = [run for run in runs if run.key.source and run.key.source.game != run.key.game]
    assert names(transferred) == [
        "boxing st-dim from=pong seed 0",
        "boxing st-dim policy=pong,from=pong,probe.policy=boxing seed 0",
        "pong st-dim from=boxing seed 0",
        "pong st-dim policy=boxing,from=boxing,probe.policy=pong seed 0",
    ]


@pytest.mark.parametrize(
    ("lists", "message"),
    [
        ({"pretrain_steps": "3000,many"}, "expected numbers of frames"),
        ({"pretrain_steps": "0"}, "pretrain_steps 0 is not positive"),
        ({"probes": "linear,mpl"}, "probes 'mpl' is unknown: choose from linear, mlp"),
        ({"classes": "some"}, "classes 'some' is unknown"),
        ({"modes": "default,hard"}, "mode 'hard': expected a number or default"),
    ],
)
def test_wrong_lists(lists: dict[str, str], message: str) -> None:
    usual = {"pretrain_steps": "", "policies": "", "modes": ""}
    usual |= {"probes": "linear", "classes": "all"}
    with pytest.raises(ConfigurationError, match=message):
        Sweep.parse(**{**usual, **lists}, transfer=False)
    assert Sweep.parse(**usual, transfer=False) == Sweep()


def test_a_mode_that_a_game_has_not_is_told_before_the_start() -> None:
    with pytest.raises(ConfigurationError, match="pong has no mode 12: choose from 0, 1"):
        grid(["breakout", "pong"], ["st-dim"], [0], sweep=Sweep(modes=("12",)))


def test_an_agent_needs_its_file() -> None:
    with pytest.raises(ConfigurationError, match=r"YAML file .*pretrained-agent\.md"):
        grid(["pong"], ["pretrained-agent"], [0])


def test_methods_of_one_name_in_two_modules_are_two() -> None:
    runs = grid(["pong"], ["a.Mine", "b.Mine"], [0])
    assert [run.key.name for run in runs] == ["a.Mine", "b.Mine"]
    assert len({run.folder(Path("out")) for run in runs}) == 2
    for run in runs:
        options = dict(pairwise(run.arguments(preset="smoke", root="data", out=Path("out"))))
        assert options["--model"] == options["--method_name"] == run.key.method


def test_runs_that_would_share_a_directory_are_refused(tmp_path: Path) -> None:
    files = [tmp_path / folder / "wide.yaml" for folder in ("x", "y")]
    for file in files:
        file.parent.mkdir()
        file.write_text("model: STDIM")
    first, second = map(str, files)
    with pytest.raises(ConfigurationError) as refused:
        grid(["pong"], [first, "st-dim", second], [0])
    assert first in str(refused.value)
    assert second in str(refused.value)
    assert "rename" in str(refused.value)
    assert len(grid(["pong"], [first, "st-dim"], [0])) == 2


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("agents/a/ppo.zip", "agents/b/ppo.zip"),
        ("agents/ppo.zip", "agents/ppo.pt"),
        ("agents/ppo/policy.zip", "more/ppo/policy.zip"),
        ("agents/ppo.zip", "agents/PPO.zip"),  # one name where capitals do not count
        ("module:play", "Module:play"),
        ("agents/caf\u00e9.zip", "agents/cafe\u0301.zip"),  # one name to some file systems
    ],
)
def test_policies_that_would_share_a_directory_are_refused(one: str, other: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        grid(["pong"], ["st-dim"], [0], sweep=Sweep(policies=(one, other)))
    assert one in str(refused.value)
    assert other in str(refused.value)
    assert grid(["pong"], ["st-dim"], [0], sweep=Sweep(policies=(one,)))


def test_callables_of_one_package_are_told_apart() -> None:
    sweep = Sweep(policies=("agents.a:play", "agents.b:play"))
    assert len(grid(["pong"], ["majority"], [0], sweep=sweep)) == 2


@pytest.mark.parametrize("method", ["a.Mine", "a.mine", "../a.Mine", "a/b.Mine", "a." + "b" * 300])
def test_what_is_no_name_of_a_directory_is_refused(method: str) -> None:
    if method == "a.Mine":
        assert grid(["pong"], [method], [0])
        return
    with pytest.raises(ConfigurationError, match="directory"):
        grid(["pong"], ["a.Mine", method], [0])


@pytest.mark.parametrize("name", ["st-dim", "ST-DIM"])
def test_a_file_takes_no_other_methods_name(tmp_path: Path, name: str) -> None:
    (tmp_path / f"{name}.yaml").write_text("model: STDIM")
    with pytest.raises(ConfigurationError, match="as another method is; rename it"):
        grid(["pong"], [str(tmp_path / f"{name}.yaml")], [0])


FROZEN = """
from lightning_stdim.methods import PretrainedAgent, STDIM

class MyAgent(PretrainedAgent): ...
class Better(STDIM): ...
"""


@pytest.mark.parametrize(
    ("method", "count"),
    [
        ("majority", 1),
        ("random-cnn", 1),
        ("supervised", 1),
        ("RandomCNN", 1),
        ("lightning_stdim.methods.RandomCNN", 1),
        ("lightning_stdim.probes.Supervised", 1),
        ("agent.yaml", 1),
        ("short.yaml", 1),
        ("frozen_method.MyAgent", 1),
        ("frozen_method.Better", 2),
        ("st-dim", 2),
        ("wide.yaml", 2),
        ("usual.yaml", 2),
        ("no_such_module.Mine", 2),
    ],
)
def test_numbers_of_frames_are_for_methods_that_pretrain(
    tmp_path: Path, monkeypatch, method: str, count: int
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    Path("frozen_method.py").write_text(FROZEN)
    agent = {"class_path": "lightning_stdim.methods.PretrainedAgent", "init_args": {"agent": "x"}}
    models = {"agent": agent, "short": "PretrainedAgent", "wide": {"class_path": "STDIM"}}
    for name, model in models.items():
        Path(f"{name}.yaml").write_text(yaml.safe_dump({"model": model}))
    Path("usual.yaml").write_text("data:\n  batch_size: 32\n")  # the preset's model
    runs = grid(["pong"], [method], [0], sweep=Sweep(pretrain_steps=(1000, 3000)))
    assert len(runs) == count


@pytest.mark.parametrize(
    "sweep",
    [
        Sweep(modes=("default", "0")),
        Sweep(policies=("random", "sticky-random")),
        Sweep(transfer=True),
        Sweep(modes=("default", "0"), policies=("random", "sticky-random"), transfer=True),
    ],
)
@pytest.mark.parametrize(
    "method",
    [
        "random-cnn",
        "RandomCNN",
        "lightning_stdim.methods.RandomCNN",
        "untrained.yaml",
        "PretrainedAgent",
        "lightning_stdim.methods.PretrainedAgent",
        "agent.yaml",
        "short.yaml",
        "frozen_method.MyAgent",
        "mine.yaml",
    ],
)
def test_what_trains_nothing_runs_once_in_every_place(
    tmp_path: Path, monkeypatch, method: str, sweep: Sweep
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    Path("frozen_method.py").write_text(FROZEN)
    agent = {"class_path": "lightning_stdim.methods.PretrainedAgent", "init_args": {"agent": "x"}}
    models = {"agent": agent, "short": "PretrainedAgent", "untrained": "RandomCNN"}
    for name, model in (models | {"mine": {"class_path": "frozen_method.MyAgent"}}).items():
        Path(f"{name}.yaml").write_text(yaml.safe_dump({"model": model}))
    runs = grid(["pong", "boxing"], [method], [0], sweep=sweep)
    places = 2 * len(sweep.modes or "1") * len(sweep.policies or "1")
    assert [run.key.source for run in runs] == [None] * places
    trained = grid(["pong", "boxing"], ["frozen_method.Better"], [0], sweep=sweep)
    assert len(trained) > places
    # Its encoder can still be probed in another way, on the same frames.
    both = grid(["pong"], [method], [0], sweep=Sweep(probes=("linear", "mlp")))
    assert [run.key.variant for run in both] == ["", "probe.hidden=256"]
