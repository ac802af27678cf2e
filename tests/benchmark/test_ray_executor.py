"""Runs on a Ray cluster of several nodes, which share this machine but no directory of ours."""

from __future__ import annotations

import io
import json
import signal
import sys
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest
import ray
import yaml
from ray.cluster_utils import Cluster
from rich.console import Console

from lightning_stdim.benchmark.ray_executor import RayExecutor
from lightning_stdim.benchmark.runner import run_grid
from lightning_stdim.errors import ConfigurationError
from lightning_stdim.runs.results import read_results
from tests.specs import spec

# Writes down where it ran and what it was given; the method "slow" waits to be told to go on.
FAKE = """
import json, os, pathlib, sys, time, yaml
words = sys.argv[1:]
options = dict(zip(words, words[1:]))
out = pathlib.Path(options["--out"])
method = out.parent.name
marks = pathlib.Path(os.environ["MARKS"])
(marks / f"{method}-{os.getpid()}").write_text(
    f"{os.environ['OMP_NUM_THREADS']} {os.environ['LIGHTNING_STDIM_CORES']}"
)
print(f"training {method}")
root = pathlib.Path(options.get("--data.root", options.get("--root")))
(root / "frames").write_text("collected")
for option in ("--config", "--encoder"):
    path = options.get(option, "majority")
    assert path == "majority" or pathlib.Path(path).exists(), path
if method == "my-agent":
    named = yaml.safe_load(open(options["--config"]))
    for path in (named["model"]["agent"], named["data"]["policy"]):
        assert pathlib.Path(path).read_text() == "weights", path
        assert not pathlib.Path(path).is_absolute()
    assert named["data"]["game"] == "pong"
last = out / "checkpoints" / "last.ckpt"
assert last.exists() == ("--ckpt_path" in words)
last.parent.mkdir(parents=True, exist_ok=True)
last.touch()
if method == "vae" and len(list(marks.glob("vae-*"))) == 1:
    time.sleep(120)  # until its node dies, or it is interrupted
if method == "cpc":
    sys.exit("error: no room")
(out / "encoder").mkdir(exist_ok=True)
(out / "encoder" / "config.json").write_text("{}")
seed = int(options.get("--seed_everything", options.get("--seed")))
result = json.load(open(os.environ["RESULT"])) | {"method": method, "seed": seed}
(out / "results.json").write_text(json.dumps(result))
"""


@pytest.fixture
def cluster(tmp_path: Path, make_result, monkeypatch) -> Iterator[Cluster]:
    (tmp_path / "marks").mkdir()
    (tmp_path / "result").write_text(json.dumps(make_result()))
    (tmp_path / "fake.py").write_text(FAKE)
    (tmp_path / "caller").mkdir()
    monkeypatch.chdir(tmp_path / "caller")
    # The nodes' processes inherit these.
    monkeypatch.setenv("MARKS", str(tmp_path / "marks"))
    monkeypatch.setenv("RESULT", str(tmp_path / "result"))
    monkeypatch.setenv("RAY_enable_uv_run_runtime_env", "0")
    monkeypatch.setenv("RAY_health_check_period_ms", "500")
    cluster = Cluster(
        initialize_head=True, head_node_args={"num_cpus": 0, "object_store_memory": 80 * 2**20}
    )
    yield cluster
    ray.shutdown()
    cluster.shutdown()


def run(
    specs: list[Any], cluster: Cluster, tmp_path: Path, made=RayExecutor, **options
) -> tuple[int, str]:
    console = Console(file=io.StringIO(), width=200)
    program = (sys.executable, str(tmp_path / "fake.py"))
    executor = partial(made, address=cluster.address, program=program, **options)
    status = run_grid(
        specs, preset="smoke", out="runs/mine", jobs=4, console=console, executor=executor
    )
    return status, console.file.getvalue()


def test_a_grid_survives_the_death_of_a_node(cluster: Cluster, tmp_path: Path) -> None:
    marks = tmp_path / "marks"
    nodes = [cluster.add_node(num_cpus=2, object_store_memory=80 * 2**20) for _ in range(2)]
    source = spec("pong", "st-dim", 0)
    specs = [
        spec("pong", "vae", 0),
        source,
        spec("pong", "cpc", 0),
        spec("pong", "majority", 1),
        spec("pong", "st-dim", 0, (("hidden", "256"),), source),
    ]

    def kill() -> None:
        """Kill the node that has the run which waits for that, once the one that fails has."""
        deadline = time.monotonic() + 120
        failed = Path("runs/mine/pong/cpc/seed0.error.txt")
        while not (started := list(marks.glob("vae-*"))) or not failed.exists():
            assert time.monotonic() < deadline, "it never started"
            time.sleep(0.05)
        above = {parent.pid for parent in psutil.Process(int(started[0].name[4:])).parents()}
        (node,) = (n for n in nodes if n.all_processes["raylet"][0].process.pid in above)
        cluster.remove_node(node, allow_graceful=False)

    killer = threading.Thread(target=kill)
    killer.start()
    status, said = run(specs, cluster, tmp_path, cpus=1)
    killer.join()
    assert status == 1  # cpc's, which is not tried again
    assert len(list(marks.glob("vae-*"))) == 2
    assert len(list(marks.glob("cpc-*"))) == 1
    out = Path("runs/mine")
    for one in (specs[0], specs[1], specs[3], specs[4]):
        assert read_results(one.folder(out))["seed"] == one.key.seed, said
    assert (source.folder(out) / "encoder" / "config.json").is_file()
    assert "training st-dim" in source.folder(out).with_suffix(".log").read_text()
    assert "error: no room" in (out / "pong" / "cpc" / "seed0.error.txt").read_text()
    assert (out / "pong" / "cpc" / "seed0" / "checkpoints" / "last.ckpt").is_file()
    assert (tmp_path / "caller" / "data" / "frames").read_text() == "collected"
    assert {mark.read_text() for mark in marks.iterdir()} == {"1 1"}


def test_an_interrupted_run_comes_back_and_goes_on(cluster: Cluster, tmp_path: Path) -> None:
    class Interrupted(RayExecutor):
        def finished(self):
            # Ray would have a termination abort the process.
            assert signal.getsignal(signal.SIGTERM) is signal.default_int_handler
            if list((tmp_path / "marks").glob("vae-*")):
                raise KeyboardInterrupt
            return super().finished()

    cluster.add_node(num_cpus=1, object_store_memory=80 * 2**20)
    (tmp_path / "agent.zip").write_text("weights")
    Path("agents").mkdir()
    Path("agents/mine.zip").write_text("weights")
    settings = {
        "model": {"agent": "agents/mine.zip"},
        "data": {"policy": str(tmp_path / "agent.zip"), "game": "pong"},
    }
    Path("my-agent.yaml").write_text(yaml.safe_dump(settings))
    specs = [spec("pong", "vae", 0), spec("pong", "my-agent.yaml", 0)]
    status, said = run(specs, cluster, tmp_path, made=Interrupted)
    assert status == 130, said
    vae, agent = (one.folder(Path("runs/mine")) for one in specs)
    assert (vae / "checkpoints" / "last.ckpt").is_file()
    assert "KeyboardInterrupt" in vae.with_suffix(".log").read_text()
    assert not agent.exists()  # it never began
    status, said = run(specs, cluster, tmp_path)
    assert status == 0, said


@pytest.mark.parametrize("address", ["127.0.0.1:1", "nowhere"])
def test_no_cluster_is_a_clear_error(address: str) -> None:
    with pytest.raises(ConfigurationError, match=f"no Ray cluster at {address}"):
        RayExecutor(1, address=address)
