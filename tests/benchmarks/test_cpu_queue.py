"""The CPU queue (benchmarks/cpu_queue.py) with tiny items, in a checkout that is a stub."""

from __future__ import annotations

import importlib
import json
import os
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "benchmarks" / "cpu_queue.py"

# A `fit` that takes steps, writes a checkpoint when it is interrupted, and goes on from it.
STUB = """
import json, pathlib, sys, time
if sys.argv[1] == "where":
    print(__file__)
    raise SystemExit
run = pathlib.Path("runs/grid/run")
last = run / "checkpoints" / "last.ckpt"
assert not run.exists() or "--ckpt_path" in sys.argv, "another run's folder"
run.mkdir(parents=True, exist_ok=True)
(run / "config.yaml").write_text("")
steps = json.loads(last.read_text()) if "--ckpt_path" in sys.argv else []
start = len(steps)
try:
    while len(steps) < 40 or pathlib.Path("endless").exists():
        steps.append(len(steps))
        print("step", len(steps), flush=True)
        time.sleep(0.02)
except KeyboardInterrupt:
    last.parent.mkdir(exist_ok=True)
    last.write_text(json.dumps(steps))
    raise SystemExit(130)
(run / "results.json").write_text(json.dumps({"steps": steps, "started at": start}))
"""

FIT = """
- name: fit
  why: To see it go on.
  command: python -m lightning_stdim fit
  done: [runs/grid/run/results.json]
"""


def wait_for(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


class Queue:
    """The script with a list, and a checkout that need not be one for it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "checkout"
        self.list = folder / "list.yaml"
        package = self.folder / "lightning_stdim"
        package.mkdir(parents=True)
        (package / "__init__.py").touch()
        (package / "__main__.py").write_text(STUB)

    def __call__(self, action: str, *words: str) -> subprocess.CompletedProcess[str]:
        where = [f"--folder={self.folder}", f"--list={self.list}"]
        command = [sys.executable, str(SCRIPT), action, *where, *words]
        env = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "300"}
        return subprocess.run(
            command, env=env, cwd=ROOT, capture_output=True, text=True, timeout=200
        )

    def states(self) -> dict[str, str]:
        lines = self("status").stdout.splitlines()
        return dict(re.split(r"  +", line, maxsplit=1) for line in lines)

    def log(self, name: str) -> str:
        path = self.folder / "runs/cpu-queue" / f"{name}.log"
        return path.read_text() if path.exists() else ""


@pytest.fixture
def queue(tmp_path: Path):
    queue = Queue(tmp_path)
    yield queue
    if (queue.folder / "runs/cpu-queue").is_dir():
        queue("stop")


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(SCRIPT.parent)
    return importlib.import_module("cpu_queue")


def test_items_run_in_order_at_low_priority_with_the_checkouts_code(queue: Queue) -> None:
    queue.list.write_text(
        """
- name: "{letter}-{number}"
  why: To have several of a kind.
  for: {letter: [a, b], number: [1, 2]}
  command: sh -c 'echo {letter}{number} >> order; touch {letter}{number}'
  done: ["{letter}{number}"]
- name: where
  why: An editable install may point elsewhere.
  command: sh -c 'python -m lightning_stdim where > where'
  done: [where]
- name: how
  why: So that work at the desk does not suffer.
  command: sh -c 'nice > how; echo $OMP_NUM_THREADS $LIGHTNING_STDIM_CORES >> how'
  done: [how]
"""
    )
    done = queue("run", "--threads=2")
    assert (done.returncode, done.stderr) == (0, "")
    assert (queue.folder / "order").read_text().split() == ["a1", "a2", "b1", "b2"]
    # In this checkout, though the queue's own PYTHONPATH names another one.
    found = (queue.folder / "where").read_text().strip()
    assert found == str(queue.folder / "lightning_stdim/__main__.py")
    assert (queue.folder / "how").read_text().split() == ["19", "2", "2"]
    assert set(queue.states().values()) == {"done"}


@pytest.mark.skipif(not Path("/proc/self/autogroup").exists(), reason="Linux's scheduler groups")
def test_the_priority_holds_between_sessions(queue: Queue) -> None:
    """And the session that starts the queue keeps its own."""
    queue.list.write_text(
        """
- name: group
  why: On Linux nice counts only within a session.
  command: cp /proc/self/autogroup group
  done: [group]
"""
    )
    before = Path("/proc/self/autogroup").read_text()
    assert queue("run").returncode == 0
    assert (queue.folder / "group").read_text().split()[1:] == ["nice", "19"]
    assert Path("/proc/self/autogroup").read_text() == before


def test_a_failed_item_stops_no_other_and_is_tried_again(queue: Queue) -> None:
    queue.list.write_text(
        """
- name: broken
  why: It fails until it is repaired.
  command: sh -c 'echo about to try; test -e repaired || exit 3; touch broken-done'
  done: [broken-done]
- name: silent
  why: It says that it is well, and leaves nothing.
  command: "true"
  done: [silent-done]
- name: other
  why: It needs nothing.
  command: touch other-done
  done: [other-done]
- name: after
  why: It needs what fails.
  command: touch after-done
  needs: [broken-done, other-done]
  done: [after-done]
"""
    )
    assert queue("run").returncode == 1
    states = queue.states()
    log = queue.folder / "runs/cpu-queue/broken.log"
    assert states["broken"] == f"failed, exit status 3: about to try ({log})"
    assert states["silent"].startswith("failed, exit status 0")
    assert (states["other"], states["after"]) == ("done", "waiting for broken-done")
    (queue.folder / "repaired").touch()
    assert queue("run").returncode == 1
    states = queue.states()
    assert states.pop("silent").startswith("failed")
    assert set(states.values()) == {"done"}
    assert queue.log("broken").count("\nabout to try") == 2  # the log has every try
    assert queue.log("other").count("touch") == 1  # what was done is not repeated


def test_a_stopped_run_goes_on(queue: Queue) -> None:
    queue.list.write_text(FIT)
    (queue.folder / "endless").touch()
    started = queue("start")
    assert started.returncode == 0
    assert str(queue.folder) in started.stdout
    wait_for(lambda: "step 3" in queue.log("fit"))
    assert re.match(r"running: step \d+ ", queue.states()["fit"])
    refused = queue("start")
    assert refused.returncode == 2
    assert "a queue is running in" in refused.stderr
    assert queue("stop").returncode == 0
    assert queue.states()["fit"].startswith("interrupted: step ")
    assert "no queue is running" in queue("stop").stdout
    (queue.folder / "endless").unlink()
    assert queue("run").returncode == 0
    found = json.loads((queue.folder / "runs/grid/run/results.json").read_text())
    assert found["steps"] == list(range(len(found["steps"])))  # every step once
    assert found["started at"] >= 3
    assert queue.states() == {"fit": "done"}


def test_a_run_that_left_no_checkpoint_starts_over_in_its_folder(queue: Queue) -> None:
    queue.list.write_text(FIT)
    half = queue.folder / "runs/grid/run"
    half.mkdir(parents=True)
    (half / "metrics.csv").touch()
    assert queue("run").returncode == 0
    assert json.loads((half / "results.json").read_text())["started at"] == 0


def test_an_item_outlives_a_killed_queue_and_keeps_it_locked(queue: Queue) -> None:
    queue.list.write_text(FIT)
    (queue.folder / "endless").touch()
    process = subprocess.Popen(
        [sys.executable, str(SCRIPT), "run", f"--folder={queue.folder}", f"--list={queue.list}"],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
    )
    wait_for(lambda: "step 3" in queue.log("fit"))
    process.kill()
    process.wait()
    assert "a queue is running in" in queue("run").stderr  # not a second process for the same run
    assert queue.states()["fit"].startswith("running: step ")
    assert queue("stop").returncode == 0
    assert queue.states()["fit"].startswith("interrupted: step ")
    assert (queue.folder / "runs/grid/run/checkpoints/last.ckpt").exists()


def test_code_from_elsewhere_is_refused(queue: Queue) -> None:
    queue.list.write_text(FIT)
    for path in (queue.folder / "lightning_stdim").iterdir():
        path.unlink()
    (queue.folder / "lightning_stdim").rmdir()
    done = queue("run")
    assert done.returncode == 2
    assert f"the code would not be that of {queue.folder}" in done.stderr
    assert "start one" in queue("status", f"--folder={queue.folder}/nowhere").stderr


def test_the_checkout_stays_at_its_commit(module, tmp_path: Path, monkeypatch) -> None:
    root, folder = tmp_path / "root", tmp_path / "checkout"

    def git(*words: str) -> None:
        author = ["-c", "user.name=a", "-c", "user.email=a@b"]
        subprocess.run(["git", *author, *words], cwd=root, check=True, capture_output=True)

    root.mkdir()
    git("init")
    for text in ("first", "second"):
        (root / "file").write_text(text)
        git("add", "file")
        git("commit", "--message", text)
        git("tag", text)
    monkeypatch.setattr(module, "ROOT", root)
    module.check_out(folder, "first")
    assert (folder / "file").read_text() == "first"
    module.check_out(folder, None)
    assert (folder / "file").read_text() == "first"
    module.check_out(folder, "second")
    assert (folder / "file").read_text() == "second"
    with pytest.raises(module.ConfigurationError, match="no-such-commit"):
        module.check_out(folder, "no-such-commit")
    with module.queue_lock(folder), pytest.raises(module.ConfigurationError, match="is running"):
        module.check_out(folder, "first")


def test_only_finished_records_are_gathered(module, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(module, "ROOT", tmp_path)
    folder = tmp_path / "checkout"
    (folder / "runs/cpu-queue").mkdir(parents=True)
    for file in (
        "grid/benchmark.json",
        "grid/report.md",
        "grid/report.html",
        "grid/.lock",
        "grid/pong/comparison.png",
        "grid/pong/st-dim/seed0.log",
        "grid/pong/st-dim/seed0/config.yaml",
        "grid/pong/st-dim/seed0/metrics.csv",
        "grid/pong/st-dim/seed0/results.json",
        "grid/pong/st-dim/seed0/hparams.yaml",
        "grid/pong/st-dim/seed0/predictions.npz",
        "grid/pong/st-dim/seed0/encoder/config.json",
        "grid/pong/st-dim/seed0/checkpoints/last.ckpt",
        "grid/pong/st-dim/seed0/snapshots/curve.png",
        "grid/pong/st-dim/seed0/snapshots/step8.ckpt",
        "grid/pong/st-dim/seed0/snapshots/step8/results.json",
        "grid/pong/st-dim/seed1/config.yaml",
        "grid/pong/st-dim/seed1/metrics.csv",
        "grid/pong/st-dim/seed1/checkpoints/last.ckpt",
        "other/pong/st-dim/seed0/config.yaml",
    ):
        (folder / "runs" / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / "runs" / file).touch()
    items = [
        module.Item(str(k), "", "", (f"runs/{run}/pong/st-dim/seed0/results.json",))
        for k, run in enumerate(("grid", "other"))
    ]
    assert module.gather(folder, items) == 0
    found = {
        path.relative_to(tmp_path / "results").as_posix()
        for path in (tmp_path / "results").rglob("*")
        if path.is_file()
    }
    assert found == {
        "grid/benchmark.json",
        "grid/report.md",
        "grid/pong/st-dim/seed0/config.yaml",
        "grid/pong/st-dim/seed0/metrics.csv",
        "grid/pong/st-dim/seed0/results.json",
        "grid/pong/st-dim/seed0/snapshots/curve.png",
        "grid/pong/st-dim/seed0/snapshots/step8/results.json",
    }


def test_two_items_of_one_name_are_refused(module, tmp_path: Path) -> None:
    (tmp_path / "list.yaml").write_text(FIT + FIT)
    with pytest.raises(module.ConfigurationError, match="items of the same name: fit"):
        module.read_items(tmp_path / "list.yaml")


def test_the_list_can_be_worked_through(module) -> None:
    """Its files are there, results are where `done` looks for them, and nothing waits in vain."""
    made: set[str] = set()
    for item in module.read_items(SCRIPT.with_suffix(".yaml")):
        words = shlex.split(item.command)
        assert words[0] == "python", item.name
        assert words[1:3] == ["-m", "lightning_stdim"] or words[1].startswith("studies/"), item.name
        for word in words:
            assert not word.endswith((".yaml", ".py")) or (ROOT / word).is_file(), word
        out = words[words.index("--out") + 1] if "--out" in words else words[-1]
        assert all(file.startswith(f"{out}/") for file in item.done), item.name
        assert item.done, item.name
        assert words[3] != "fit" or item.done[0] == f"{out}/results.json", item.name
        assert set(item.needs) <= made, item.name
        made |= set(item.done)
