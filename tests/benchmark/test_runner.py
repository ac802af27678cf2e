"""The runner against a stand-in for the package's command line."""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from pathlib import Path

import pytest
from rich.console import Console

from lightning_stdim.benchmark.executors import LocalExecutor
from lightning_stdim.benchmark.grid import Sweep
from lightning_stdim.benchmark.grid import grid as specs_of
from lightning_stdim.benchmark.runner import run_grid
from lightning_stdim.errors import ConfigurationError, StoreError
from lightning_stdim.runs.key import RunKey
from lightning_stdim.runs.results import is_complete, read_results
from lightning_stdim.utils.log_tail import last_words
from tests.specs import spec

# Notes its arguments, then does what the environment says for its method: see FAKE_* below.
FAKE = """
import json, os, pathlib, sys, time
words = sys.argv[1:]
options = dict(zip(words, words[1:]))
method = pathlib.Path(options.get("--config", options.get("--model", "majority"))).stem
out = pathlib.Path(options["--out"])
assert not out.exists() or "--ckpt_path" in words, "fit would take another directory"
out.mkdir(parents=True, exist_ok=True)
with open(os.environ["FAKE_CALLS"], "a") as calls:
    print(json.dumps(words), file=calls)
print(f"training {method}")
if method == os.environ.get("FAKE_HANGS"):
    (out / "started").write_text(str(os.getpid()))
    if os.environ.get("FAKE_CHECKPOINT"):
        (out / "checkpoints").mkdir()
        (out / "checkpoints" / "last.ckpt").write_text("")
    try:
        time.sleep(60)
    except KeyboardInterrupt:
        (out / "interrupted").write_text("")
        sys.exit(130)
if method == os.environ.get("FAKE_FAILS"):
    print("error: no room for frames", file=sys.stderr)
    sys.exit(2)
if method == os.environ.get("FAKE_SILENT"):
    sys.exit(0)
if "FAKE_MEETS" in os.environ:  # wait until another process is here at the same time
    meeting = pathlib.Path(os.environ["FAKE_MEETS"])
    (meeting / method).write_text("")
    deadline = time.monotonic() + 20
    while len(list(meeting.iterdir())) < 2:
        assert time.monotonic() < deadline, "nobody came"
        time.sleep(0.02)
seed = int(options.get("--seed_everything", options.get("--seed")))
if "FAKE_RESULT_OF_MAJORITY" in os.environ and method == "majority":
    os.environ["FAKE_RESULT"] = os.environ["FAKE_RESULT_OF_MAJORITY"]
result = json.load(open(os.environ["FAKE_RESULT"])) | {"method": method, "seed": seed}
(out / "results.json").write_text(json.dumps(result))
"""
METHODS = ("majority", "random-cnn", "st-dim")


class Grid:
    """A grid with a fake program, and what it was called with."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.out = folder / "out"
        self.fake = folder / "fake.py"
        self.calls_file = folder / "calls"
        self.console = Console(file=io.StringIO(), width=200)

    def run(self, methods=METHODS, games=("pong",), seeds=(0,), **arguments) -> int:
        return self.run_grid(specs_of(games, methods, seeds), **arguments)

    def run_grid(self, specs, launcher=(), **arguments) -> int:
        arguments = {"preset": "smoke", "out": self.out, "console": self.console, **arguments}
        program = (sys.executable, str(self.fake))
        executor = partial(LocalExecutor, launcher=launcher, program=program)
        return run_grid(specs, executor=executor, **arguments)

    def start(self, **environment: str) -> subprocess.Popen[str]:
        """The same in a process of its own, until the method that hangs has started."""
        code = (
            # A shell's background job ignores interrupts, and so would its children.
            "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
            "import sys\n"
            "from functools import partial\n"
            "from lightning_stdim.benchmark.executors import LocalExecutor\n"
            "from lightning_stdim.benchmark.grid import grid\n"
            "from lightning_stdim.benchmark.runner import run_grid\n"
            f"executor = partial(LocalExecutor, program=[sys.executable, {str(self.fake)!r}])\n"
            f"specs = grid(['pong'], {METHODS!r}, [0])\n"
            f"sys.exit(run_grid(specs, preset='smoke', out={str(self.out)!r}, executor=executor))"
        )
        environment = {**os.environ, "FAKE_HANGS": "random-cnn", **environment}
        process = subprocess.Popen(
            [sys.executable, "-c", code], env=environment, text=True, stdout=subprocess.PIPE
        )
        wait_for(lambda: bool(self.hanging), process)
        return process

    @property
    def hanging(self) -> str:
        path = self.out / "pong" / "random-cnn" / "seed0" / "started"
        return path.read_text() if path.exists() else ""

    @property
    def calls(self) -> list[list[str]]:
        return [json.loads(line) for line in self.calls_file.read_text().splitlines()]

    @property
    def said(self) -> str:
        return self.console.file.getvalue()


def wait_for(condition: Callable[[], bool], process: subprocess.Popen[str] | None = None) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert process is None or process.poll() is None, "it ended too early"
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.02)


@pytest.fixture
def grid(tmp_path: Path, make_result, monkeypatch) -> Grid:
    grid = Grid(tmp_path)
    grid.fake.write_text(FAKE)
    (tmp_path / "result").write_text(json.dumps(make_result()))
    monkeypatch.setenv("FAKE_CALLS", str(grid.calls_file))
    monkeypatch.setenv("FAKE_RESULT", str(tmp_path / "result"))
    return grid


def test_every_run_is_made_once(grid: Grid) -> None:
    assert grid.run(games=["Pong", "boxing"], seeds=[0, 1], root="frames") == 0
    specs = [spec(g, m, s) for g in ("pong", "boxing") for m in METHODS for s in (0, 1)]
    for run in specs:
        folder = run.folder(grid.out)
        assert folder == grid.out / run.key.game / run.key.method / f"seed{run.key.seed}"
        assert read_results(folder)["seed"] == run.key.seed
        assert "training" in folder.with_suffix(".log").read_text()
        assert f"{run}: done" in grid.said
    assert len(grid.calls) == len(specs)
    majority, random, *_ = grid.calls
    assert majority[:3] == ["probe", "--encoder", "majority"]
    assert random[0] == "fit"
    options = dict(zip(random[1::2], random[2::2], strict=True))
    assert options == {
        "--preset": "smoke",
        "--model": "random-cnn",
        "--data.root": "frames",
        "--data.game": "pong",
        "--seed_everything": "0",
        "--out": str(grid.out / "pong" / "random-cnn" / "seed0"),
    }


def test_a_method_may_be_a_file_of_settings(grid: Grid, tmp_path: Path) -> None:
    file = tmp_path / "my-agent.yaml"
    with pytest.raises(ConfigurationError, match=r"no file .*my-agent\.yaml"):
        grid.run(methods=[str(file)])
    file.write_text("model: PretrainedAgent")
    assert grid.run(methods=[str(file), "st-dim"]) == 0
    assert is_complete(grid.out / "pong" / "my-agent" / "seed0")
    assert "pong my-agent seed 0: done" in grid.said
    mine = list(pairwise(grid.calls[0]))
    assert [b for a, b in mine if a == "--config"] == [str(file)]
    assert ("--method_name", "my-agent") in mine
    taken = tmp_path / "st-dim.yaml"
    taken.write_text("")
    with pytest.raises(ConfigurationError, match=r"called 'st-dim'.*rename it"):
        grid.run(methods=[str(taken)])


def test_another_file_of_a_methods_name_is_refused_once_there_are_results(
    grid: Grid, tmp_path: Path, monkeypatch
) -> None:
    files = [tmp_path / folder / "my-agent.yaml" for folder in "xy"]
    for k, file in enumerate(files):
        file.parent.mkdir()
        file.write_text(f"model: PretrainedAgent\nseed_everything: {k}")
    first, second = map(str, files)
    monkeypatch.setenv("FAKE_FAILS", "my-agent")
    assert grid.run(methods=[first]) == 1
    monkeypatch.delenv("FAKE_FAILS")
    assert grid.run(methods=[second]) == 0  # nothing was made with the first
    with pytest.raises(ConfigurationError, match="choose another directory") as refused:
        grid.run(methods=[first], seeds=[1])
    assert first in str(refused.value)
    assert second in str(refused.value)
    assert grid.run(methods=["st-dim"]) == 0
    files[0].write_text(f"# moved\n{files[1].read_text()}")
    assert grid.run(methods=[first], seeds=[0, 1]) == 0  # the same settings elsewhere
    files[0].write_text("model: PretrainedAgent\nseed_everything: 7")
    with pytest.raises(ConfigurationError, match="which is not what"):
        grid.run(methods=[first])


def test_another_agents_results_are_not_taken_for_these(grid: Grid, tmp_path: Path) -> None:
    def run(agent: str) -> int:
        sweep = Sweep(policies=(agent,))
        return grid.run_grid(specs_of(["pong"], ["majority"], [0], sweep=sweep))

    assert run("a/ppo.zip") == 0
    path = grid.out / "pong" / "majority,policy=ppo" / "seed0" / "results.json"
    results = json.loads(path.read_text())
    assert run("b/ppo.zip") == 0  # a record from before keys were stored does not tell
    key = RunKey("pong", "majority", 0, (("policy", "a/ppo.zip"),)).to_dict()
    path.write_text(json.dumps(results | {"key": key}))
    with pytest.raises(ConfigurationError, match=r"policy a/ppo\.zip, not .* b/ppo\.zip"):
        run("b/ppo.zip")
    assert run("a/ppo.zip") == 0
    assert len(grid.calls) == 1


def test_a_preset_of_other_frames_is_gone_on_with(grid: Grid) -> None:
    """What ``fit`` adds to the key of a run that is told nothing makes no other run of it."""
    assert grid.run(methods=["majority"]) == 0
    path = grid.out / "pong" / "majority" / "seed0" / "results.json"
    key = RunKey("pong", "majority", 0, (("policy", "ppo-0123abcd"),)).to_dict()
    path.write_text(json.dumps(json.loads(path.read_text()) | {"key": key}))
    assert grid.run(methods=["majority"]) == 0
    assert len(grid.calls) == 1


def test_finished_runs_are_skipped_and_seeds_can_be_added(grid: Grid) -> None:
    grid.run()
    assert grid.run(seeds=[0, 1]) == 0
    assert len(grid.calls) == 2 * len(METHODS)
    assert grid.said.count("was done: F1 0.60 (converged)") == len(METHODS)


def test_finished_runs_without_a_protocol_are_named(
    grid: Grid, monkeypatch, tmp_path: Path, make_result
) -> None:
    path = tmp_path / "majority"
    path.write_text(json.dumps(make_result("majority", protocols=("majority",))))
    monkeypatch.setenv("FAKE_RESULT_OF_MAJORITY", str(path))
    assert grid.run(METHODS) == 0
    sweep = Sweep(probes=("linear", "mlp"))
    specs = specs_of(["pong"], METHODS, [0, 1], sweep=sweep, protocols="paper, converged,challenge")
    assert grid.run_grid(specs) == 0
    named = [line for line in grid.said.splitlines() if "no challenge" in line]
    folder = grid.out / "pong"
    assert named == [
        f"{folder / method / 'seed0'}: no challenge" for method in ("random-cnn", "st-dim")
    ]
    assert "These runs had finished without a protocol" in grid.said
    given = {
        dict(pairwise(words))["--out"]: dict(pairwise(words)).get("--protocols")
        for words in grid.calls
    }
    assert given[str(folder / "st-dim" / "seed0")] is None
    assert given[str(folder / "st-dim" / "seed1")] == "paper,converged,challenge"
    assert given[str(folder / "majority" / "seed1")] == "paper,converged,challenge"
    assert given[str(folder / "st-dim,probe.hidden=256" / "seed0")] == "paper"


def test_a_failing_run_stops_no_other(grid: Grid, monkeypatch) -> None:
    monkeypatch.setenv("FAKE_FAILS", "random-cnn")
    assert grid.run() == 1
    assert is_complete(grid.out / "pong" / "st-dim" / "seed0")
    error = grid.out / "pong" / "random-cnn" / "seed0.error.txt"
    assert "exit status 2" in error.read_text()
    assert "error: no room for frames" in error.read_text()
    assert f"pong random-cnn seed 0 failed: {error}" in grid.said
    monkeypatch.delenv("FAKE_FAILS")
    assert grid.run() == 0
    assert not error.exists()
    assert len(grid.calls) == len(METHODS) + 1


def test_success_without_results_is_a_failure(grid: Grid, monkeypatch) -> None:
    monkeypatch.setenv("FAKE_SILENT", "st-dim")
    assert grid.run() == 1
    assert "no results" in (grid.out / "pong" / "st-dim" / "seed0.error.txt").read_text()


def test_two_at_a_time(grid: Grid, monkeypatch, tmp_path: Path) -> None:
    (tmp_path / "meeting").mkdir()
    monkeypatch.setenv("FAKE_MEETS", str(tmp_path / "meeting"))
    assert grid.run(methods=("random-cnn", "st-dim"), jobs=2) == 0


def test_a_launcher_goes_in_front(grid: Grid, tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    launcher = ["env", f"LAUNCHED={seen}", "sh", "-c", 'echo "$@" >> $LAUNCHED; exec "$@"', "sh"]
    assert grid.run(methods=["st-dim"], launcher=launcher) == 0
    assert seen.read_text().startswith(
        f"{sys.executable} {grid.fake} fit --preset smoke --model st-dim"
    )


def test_a_probe_of_an_encoder_waits_for_it(grid: Grid, monkeypatch) -> None:
    monkeypatch.setenv("FAKE_FAILS", "st-dim")
    source = spec("pong", "st-dim", 0)
    probe = spec("pong", "st-dim", 0, (("hidden", "256"),), source)
    other = spec("pong", "random-cnn", 0)
    specs = [source, probe, other]
    assert grid.run_grid(specs, jobs=2) == 1
    assert len(grid.calls) == 2  # not the probe
    error = probe.folder(grid.out).with_suffix(".error.txt")
    assert "no encoder: pong st-dim seed 0 failed" in error.read_text()
    monkeypatch.delenv("FAKE_FAILS")
    assert grid.run_grid(specs, jobs=2) == 0
    assert [call[0] for call in grid.calls[2:]] == ["fit", "probe"]
    assert str(source.folder(grid.out) / "encoder") in grid.calls[-1]
    assert not error.exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_it_ends_its_runs_and_says_how_to_go_on(grid: Grid, number: int) -> None:
    process = grid.start(FAKE_CHECKPOINT="1")
    process.send_signal(number)
    said, _ = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "interrupted with 2 of 3 runs to go; the same command goes on" in said
    folder = grid.out / "pong" / "random-cnn" / "seed0"
    assert (folder / "interrupted").exists()
    # What has a checkpoint goes on from it.
    assert grid.run() == 0
    assert [call[-2:] == ["--ckpt_path", "last"] for call in grid.calls] == [
        False,
        False,
        True,
        False,
    ]


def test_killed_it_goes_on_where_it_stopped(grid: Grid) -> None:
    process = grid.start()
    process.kill()
    process.wait()
    # The run that was left behind still holds the directory: nothing may be started beside it.
    with pytest.raises(ConfigurationError, match="in use by another benchmark, or by a run"):
        grid.run()
    orphan = int(grid.hanging)
    os.kill(orphan, signal.SIGKILL)
    wait_for(lambda: not Path(f"/proc/{orphan}/fd").exists() or not alive(orphan))
    assert grid.run() == 0
    methods = ["majority" if call[0] == "probe" else Path(call[4]).stem for call in grid.calls]
    assert methods == ["majority", "random-cnn", "random-cnn", "st-dim"]


def test_a_file_system_without_locks(grid: Grid, monkeypatch) -> None:
    def flock(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", flock)
    grid.out.mkdir()
    (grid.out / ".lock.held").touch()  # as a benchmark on another machine has it there
    with pytest.raises(ConfigurationError, match=r"in use by .*; if there is none, delete .*held$"):
        grid.run()
    (grid.out / ".lock.held").unlink()
    assert grid.run(methods=["random-cnn"]) == 0


def alive(process: int) -> bool:
    """Tell a process from the zombie that it leaves when nobody waits for it."""
    try:
        status = Path(f"/proc/{process}/stat").read_text()
    except OSError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"


def test_one_directory_is_for_one_preset(grid: Grid) -> None:
    grid.run(methods=("majority",))
    with pytest.raises(ConfigurationError, match="holds runs of preset 'smoke', not 'paper'"):
        grid.run(preset="paper")
    assert len(grid.calls) == 1


def test_a_changed_preset_is_another_one(grid: Grid, tmp_path: Path) -> None:
    preset = tmp_path / "mine.yaml"
    preset.write_text("trainer:\n  max_epochs: 6\n")
    grid.run(methods=("majority",), preset=str(preset))
    grid.run(methods=("majority",), preset=str(preset))
    preset.write_text("# the same, with a comment\ntrainer: {max_epochs: 6}\n")
    grid.run(methods=("majority",), preset=str(preset))
    preset.write_text("trainer:\n  max_epochs: 5\n")
    with pytest.raises(ConfigurationError, match="not its present version"):
        grid.run(methods=("majority",), preset=str(preset))
    (grid.out / "benchmark.json").write_text("")
    with pytest.raises(StoreError, match=r"cannot read .*benchmark\.json"):
        grid.run(methods=("majority",), preset=str(preset))


def test_a_record_of_the_first_schema_is_renewed(grid: Grid, tmp_path: Path) -> None:
    preset = tmp_path / "mine.yaml"
    preset.write_text("trainer:\n  max_epochs: 6\n")
    digest = hashlib.sha256(preset.read_bytes()).hexdigest()
    record = {"schema": 1, "preset": str(preset), "preset_sha256": digest}
    grid.out.mkdir()
    (grid.out / "benchmark.json").write_text(json.dumps(record))
    grid.run(methods=("majority",), preset=str(preset))
    assert json.loads((grid.out / "benchmark.json").read_text())["schema"] == 2
    record["preset_sha256"] = digest[::-1]  # of a file that was another
    (grid.out / "benchmark.json").write_text(json.dumps(record))
    with pytest.raises(ConfigurationError, match="not its present version"):
        grid.run(methods=("majority",), preset=str(preset))


def test_results_of_another_schema_are_not_overwritten(grid: Grid, make_result) -> None:
    folder = grid.out / "pong" / "majority" / "seed0"
    folder.mkdir(parents=True)
    (folder / "results.json").write_text(json.dumps(make_result(schema=99)))
    with pytest.raises(StoreError, match="schema is 99"):
        grid.run()
    assert not grid.calls_file.exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"games": ["pnog"]}, "did you mean 'pong'"),
        ({"games": []}, "no games given"),
        ({"methods": ["stdim"]}, "did you mean 'st-dim'"),
        ({"seeds": [0, -1]}, "seed -1 is negative"),
        ({"preset": "labtop"}, "laptop"),
        ({"jobs": 0}, "jobs is 0"),
    ],
)
def test_wrong_arguments(grid: Grid, arguments, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        grid.run(**arguments)
    assert not grid.calls_file.exists()


def test_a_directory_that_cannot_be_made(grid: Grid) -> None:
    with pytest.raises(StoreError, match="choose another directory"):
        grid.run(out=grid.fake / "out")


def test_a_users_method_is_given_by_its_class(grid: Grid) -> None:
    assert grid.run(methods=["my_module.MyMethod"]) == 0
    assert "my_module.MyMethod" in grid.calls[0]


def test_on_a_terminal_the_table_is_live(grid: Grid) -> None:
    grid.console = Console(file=io.StringIO(), width=200, force_terminal=True)
    assert grid.run() == 0
    assert "pong st-dim seed 0" in grid.said
    assert "F1 0.60 (converged)" in grid.said


def test_last_words(tmp_path: Path) -> None:
    log = tmp_path / "log"
    for written, last in [
        ("", ""),
        ("a\nb\n\n", "b"),
        ("Epoch 0\rEpoch 1\r", "Epoch 1"),
        ("\x1b[2K\x1b[36mprobing\x1b[0m\n\x1b[?25h", "probing"),
        ("x" * 9000 + "\nend", "end"),
    ]:
        log.write_text(written)
        assert last_words(log) == last
