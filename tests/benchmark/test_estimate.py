"""What the estimate runs, and how it multiplies; how long that takes is the machine's business."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from lightning_stdim.benchmark import short_runs
from lightning_stdim.benchmark.estimate import CostEstimate, Kind, estimate
from lightning_stdim.benchmark.grid import Sweep, grid
from lightning_stdim.benchmark.run_spec import RunSpec
from lightning_stdim.benchmark.short_runs import Play, run_short
from lightning_stdim.errors import ConfigurationError
from lightning_stdim.methods import STDIM

PRESET = {
    "model": "lightning_stdim.methods.STDIM",
    "data": {"game": "pong", "steps": 30000, "probe_steps": 12000},
    "trainer": {"max_epochs": 4},
    "paper": {"max_epochs": 100},
}
PRINTED = {
    "seed_everything": 0,
    "data": {
        **PRESET["data"],
        **dict.fromkeys(("mode", "difficulty", "label_set")),
        **{"policy": "random", "epsilon": 0.0, "greedy": False, "pixels": "luma"},
        **{"environment": "paper", "pretrain_on": "own"},
    },
    "trainer": {"max_epochs": 4, "max_steps": -1},
    "paper": {"max_epochs": 100},
    "challenge": {"max_epochs": 100},
}
FAKE = """
import json, os, sys, time
from pathlib import Path

words = sys.argv[1:]
here = Path(__file__).parent
options = {k: v for k, v in zip(words, words[1:])}
options |= dict(word.split("=", 1) for word in words if "=" in word)
with (here / "calls.jsonl").open("a") as file:
    threads = os.environ.get("OMP_NUM_THREADS")
    file.write(json.dumps({"words": words, "threads": threads, "pid": os.getpid()}) + "\\n")
if "--print_config" in words:
    print("a module of the user's says hello")
    print((here / "printed.yaml").read_text())
    sys.exit()
if (here / "fails").exists() and "fit" in words:
    print("error: its last line", file=sys.stderr)
    sys.exit(1)
time.sleep(float(os.environ.get("FAKE_SECONDS", "0")))
text = " ".join(words)
trains = "st-dim" in text and words[0] == "fit"
parts = []
if trains or "supervised" in text:
    parts.append({"part": "fit", "stage": "pretrain" if trains else "probe", "training": 0.01,
                  "validation": 0.002, "epoch": 1.0, "frames_per_step": 64})
if "majority" not in text:
    bars = {"encoding frames": (3000, 30), "probing, paper": (10, 10)}
    bars["probing, converged"] = (9, 50)
    if "challenge" in options.get("--protocols", ""):
        bars["probing, challenge"] = (10, 20)
    for name, (steps, seconds) in bars.items():
        if name != "probing, converged" or "--protocols" not in words:
            parts.append({"part": name, "steps": steps, "seconds": seconds, "first_steps": 0,
                          "first_seconds": 0})
parts.append({"part": "end"})
with open(os.environ["LIGHTNING_STDIM_TIMINGS"], "a") as file:
    for part in parts:
        file.write(json.dumps({"memory": 10**9, **part}) + "\\n")
spent = 10 + sum(part.get("seconds", 0) for part in parts)
results = json.loads((here / "results.json").read_text())
results["budget"] = {"seconds": 900 + spent, "training_seconds": 900}
out = Path(options["--out"])
out.mkdir(parents=True)
(out / "results.json").write_text(json.dumps(results))
(out / "checkpoint").write_bytes(bytes(10**6))
"""
"""A program that says it has taken 10 s to load, 30 to encode, 10 for ten epochs under ``paper``
and 50 under ``converged``, with three variables; and a training 0.01 s a frame."""
PROBED = 4 * (10 + 30) + 4 * 100 * 1 * 2 + 11900 / 5600 * 50 * 2
"""Seconds, of 12 000 frames for 3000, 100 epochs and Pong's six variables for three."""


@pytest.fixture
def preset(tmp_path: Path) -> str:
    path = tmp_path / "tiny.yaml"
    path.write_text(yaml.safe_dump(PRESET))
    return str(path)


@pytest.fixture
def fake(monkeypatch, tmp_path: Path, make_result) -> Path:
    """The folder of a fake program, which the estimate runs instead of ours."""
    folder = tmp_path / "fake"
    folder.mkdir()
    (folder / "fake.py").write_text(FAKE)
    (folder / "printed.yaml").write_text(yaml.safe_dump(PRINTED, sort_keys=False))
    results = make_result()
    results["scores"]["provenance"] = {"frames": {"train": 2100}}
    (folder / "results.json").write_text(json.dumps(results))
    monkeypatch.setattr(short_runs, "PROGRAM", (sys.executable, str(folder / "fake.py")))
    monkeypatch.setattr(short_runs, "_collect", lambda data, root, workers: (3000, Play(0.01, 100)))
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    return folder


def calls(fake: Path) -> list[dict[str, Any]]:
    """What the program was called with to run, not to print its settings."""
    found = [json.loads(line) for line in (fake / "calls.jsonl").read_text().splitlines()]
    return [call for call in found if "--print_config" not in call["words"]]


@pytest.fixture
def of(fake: Path, tmp_path: Path, preset: str) -> Callable[..., CostEstimate]:
    def make(specs: list[RunSpec], **options: Any) -> CostEstimate:
        options = {"root": tmp_path / "data", "out": tmp_path / "out", **options}
        return estimate(specs, preset=preset, **options)

    return make


def test_what_a_run_costs(of) -> None:
    found = of(grid(["pong"], ["majority", "random-cnn", "st-dim", "supervised"], [0]))
    seconds = {kind.name: kind.seconds for kind in found.kinds}
    assert seconds["majority"] == pytest.approx(4 * 10)
    assert seconds["random-cnn"] == pytest.approx(PROBED)
    trained = 4 * (30000 * (0.8 * 0.01 + 0.2 * 0.002) + 1)
    assert seconds["st-dim"] == pytest.approx(PROBED + trained)
    labelled = 4 * (12000 * (0.7 * 0.01 + 0.1 * 0.002) + 1)
    assert seconds["supervised"] == pytest.approx(PROBED + labelled)


def test_the_challenge_protocol_counts(of) -> None:
    specs = grid(["pong"], ["st-dim"], [0])
    asked = grid(["pong"], ["st-dim"], [0], protocols="paper,challenge")
    (usual,), (more,) = of(specs).kinds, of(asked).kinds
    # Twice as long as ``paper``, without ``converged``.
    assert more.seconds - usual.seconds == pytest.approx(4 * 100 * 2 * 2 - 11900 / 5600 * 50 * 2)


def test_a_limit_of_steps_counts(of, fake: Path) -> None:
    (found,) = of(grid(["pong"], ["st-dim"], [0])).kinds
    printed = fake / "printed.yaml"
    printed.write_text(printed.read_text().replace("max_steps: -1", "max_steps: 375"))
    (fewer,) = of(grid(["pong"], ["st-dim"], [0])).kinds  # one epoch of 24 000 frames
    assert found.seconds - fewer.seconds == pytest.approx(3 * 253)


def test_pretraining_on_the_frames_of_the_probes(of, fake: Path) -> None:
    printed = fake / "printed.yaml"
    printed.write_text(printed.read_text().replace("pretrain_on: own", "pretrain_on: probe"))
    found = of(grid(["pong"], ["st-dim"], [0]))
    assert found.collections == 1
    labelled = 4 * (12000 * (0.7 * 0.01 + 0.1 * 0.002) + 1)
    assert found.kinds[0].seconds == pytest.approx(PROBED + labelled)


def test_sums(of) -> None:
    once = of(grid(["pong"], ["majority", "st-dim"], [0]))
    twice = of(grid(["pong", "videopinball"], ["majority", "st-dim"], [0]))
    assert once.collections == 2  # to pretrain on, and to probe
    assert once.collecting == pytest.approx(42000 * 0.01)
    assert once.seconds == pytest.approx(once.collecting + sum(k.seconds for k in once.kinds))
    assert twice.seconds == pytest.approx(2 * once.seconds)
    assert twice.disk == pytest.approx(2 * once.disk)
    assert once.disk == pytest.approx(42000 * 100 + 2 * 10**6, rel=0.01)
    assert once.memory == 10**9 + 27000 * 210 * 160  # not both collections at a time


def test_a_short_run_has_the_runs_own_command(of, fake: Path, preset: str, tmp_path: Path) -> None:
    (tmp_path / "wide.yaml").write_text("model: lightning_stdim.methods.STDIM\n")
    wide = str(tmp_path / "wide.yaml")
    specs = grid(["pong"], ["st-dim", wide, "my_module.Mine"], [0])
    of(specs)
    assert len(calls(fake)) == len(specs)
    for spec, call in zip(specs, calls(fake), strict=True):
        words = call["words"]
        out = Path(words[words.index("--out") + 1])
        own = spec.arguments(preset=preset, root=out.parents[2] / "data", out=out.parents[2])
        assert words[: len(own)] == own
        assert {"--data.steps=3000", "--data.probe_steps=3000"} <= set(words[len(own) :])
        assert not out.parents[2].exists()  # nothing is left behind


def test_pixels_count(of, fake: Path) -> None:
    luma = of(grid(["pong"], ["st-dim"], [0]))
    printed = fake / "printed.yaml"
    printed.write_text(printed.read_text().replace("pixels: luma", "pixels: rgb"))
    rgb = of(grid(["pong"], ["st-dim"], [0]))
    assert rgb.memory - 10**9 == 3 * (luma.memory - 10**9)


def test_jobs_share_the_machine(of, fake: Path, monkeypatch) -> None:
    monkeypatch.setattr("lightning_stdim.benchmark.executors.cores", lambda: 12)
    monkeypatch.setenv("FAKE_SECONDS", "0.5")
    specs = grid(["pong"], ["st-dim"], [0, 1, 2, 3, 4, 5])
    one, several = of(specs), of(specs, jobs=3)
    assert one.seconds == pytest.approx(one.collecting + one.kinds[0].total)
    assert several.seconds == pytest.approx(one.seconds / 3)
    assert several.memory == 3 * one.memory
    # The only kind runs beside copies of itself, each with its share.
    assert [call["threads"] for call in calls(fake)][:4] == [None, "4", "4", "4"]


def test_no_more_jobs_than_runs(of) -> None:
    specs = grid(["pong"], ["st-dim"], [0, 1])
    found = of(specs, jobs=4)
    assert found.jobs == 2
    assert found.seconds >= found.kinds[0].seconds


def test_other_machines_are_named(of, fake: Path, capsys) -> None:
    specs = grid(["pong"], ["st-dim"], [0, 1, 2, 3])
    here, there = of(specs), of(specs, jobs=4, elsewhere="Ray", threads=3)
    assert there.seconds == pytest.approx(here.seconds / 4)
    assert [call["threads"] for call in calls(fake)] == [None, "3"]
    there.print()
    assert "Ray will take the runs to other machines" in " ".join(capsys.readouterr().out.split())


def test_a_kind_with_brackets_in_its_name_is_printed_as_it_is(capsys) -> None:
    name = "st-dim,policy=a[b].pt [/]"
    CostEstimate(kinds=(Kind(name, runs=1, seconds=1.0, total=1.0, disk=1),)).print()
    assert name in capsys.readouterr().out


def test_a_run_that_fails_is_named(of, fake: Path) -> None:
    (fake / "fails").touch()
    with pytest.raises(ConfigurationError, match=r"pong st-dim seed 0.* fails: its last line"):
        of(grid(["pong"], ["majority", "st-dim"], [0]))


def test_games_with_more_variables_take_longer_to_probe(of) -> None:
    (kind,) = of(grid(["pong", "asteroids"], ["random-cnn"], [0])).kinds
    each = (4 * 100 * 1 + 11900 / 5600 * 50) / 3
    assert kind.seconds == pytest.approx(4 * 40 + 30 * each * 1)
    assert kind.total == pytest.approx(kind.seconds + PROBED)


def test_what_is_there_costs_nothing(of, tmp_path: Path, make_result) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "pong-random-seed0-30000.h5").touch()
    specs = grid(["pong"], ["random-cnn", "st-dim"], [0, 1])
    found = of(specs)
    assert found.collections == 3
    for spec in specs:
        assert {kind.name: kind.runs for kind in of(specs).kinds}.get(spec.key.name, 0) > 0
        done = spec.folder(tmp_path / "out")
        done.mkdir(parents=True)
        (done / "results.json").write_text(json.dumps(make_result(spec.method)))
    assert of(specs) == CostEstimate()


def test_modes_have_collections_of_their_own(of, tmp_path: Path) -> None:
    specs = grid(["breakout"], ["st-dim"], [0], sweep=Sweep(modes=("default", "12")))
    assert of(specs).collections == 4
    (tmp_path / "data").mkdir()
    for file in ("seed0-30000", "seed0-30000-mode12", "seed1000000-12000-mode12"):
        (tmp_path / "data" / f"breakout-random-{file}.h5").touch()
    assert of(specs).collections == 1


def test_probes_of_other_runs_train_nothing(of) -> None:
    specs = grid(["pong"], ["st-dim"], [0], sweep=Sweep(probes=("linear", "mlp")))
    trained, probed = of(specs).kinds
    assert probed.name == "st-dim probe.hidden=256"
    assert probed.seconds == pytest.approx(4 * 40 + 4 * 100 * 1 * 2)
    assert probed.seconds < trained.seconds


def test_the_presets_network_and_pixels_are_timed(tmp_path: Path) -> None:
    """A real short run: its record tells which network it had, and its frames which pixels."""
    settings = {
        "model": {
            "class_path": "lightning_stdim.methods.STDIM",
            "init_args": {"encoder_args": {"feature_dim": 24}},
        },
        "data": {"game": "pong", "steps": 16000, "probe_steps": 15000, "pixels": "rgb"},
        "trainer": {"max_epochs": 5},
        "paper": {"max_epochs": 7},
        "converged": {"strengths": [0.1]},
    }
    path = tmp_path / "narrow.yaml"
    path.write_text(yaml.safe_dump(settings))
    (spec,) = grid(["pong"], ["st-dim"], [0], preset=str(path))
    (run,) = run_short([spec], preset=str(path), folder=tmp_path / "short", jobs=1).values()
    model = STDIM(encoder_args={"feature_dim": 24}, pixels="rgb")
    assert run.fit["parameters"] == sum(p.numel() for p in model.parameters())
    assert run.settings["data"]["pixels"] == "rgb"
    assert run.settings["data"]["steps"] == 16000
    assert run.settings["trainer"]["max_epochs"] == 5
    assert run.settings["paper"]["max_epochs"] == 7
    assert run.fit["frames_per_step"] == 64
    assert run.own_frames
    assert run.fit["training"] > run.fit["validation"] > 0
    assert min(run.play.seconds, run.play.bytes, run.start_and_end, run.memory) > 0
    for part in ("encoding frames", "probing, paper", "probing, converged"):
        assert run.recorded(part)[0]["seconds"] > 0
