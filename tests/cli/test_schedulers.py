"""Commands in jobs of schedulers and as processes of launchers."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import time
from pathlib import Path

from pytorch_lightning.utilities import rank_zero_only

from lightning_stdim.cli import main
from tests.cli.helpers import PROBE_STEPS, metrics, results

# The third of four runs in a job of Slurm, which torchrun's variables were left over in.
THIRD = {
    "SLURM_JOB_NAME": "benchmark",
    "SLURM_JOB_ID": "12345",
    "SLURM_NTASKS": "4",
    "SLURM_NNODES": "2",
    "SLURM_PROCID": "2",
    "SLURM_LOCALID": "0",
    "SLURM_NODEID": "1",
    "RANK": "2",
    "WORLD_SIZE": "4",
}


def test_a_run_in_a_job_of_several_tasks_is_a_whole_run(shrunk, tmp_path, monkeypatch, caplog):
    for name, value in THIRD.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(rank_zero_only, "rank", 2)  # as Lightning reads it when it is imported
    assert main(["fit", *shrunk, "--out=run", "--protocols=paper"]) == 0
    for file in ("metrics.csv", "curves.png", "config.yaml", "checkpoints/last.ckpt"):
        assert (tmp_path / "run" / file).stat().st_size
    assert [row["epoch"] for row in metrics(tmp_path / "run")] == ["0", "0"]
    for name, value in THIRD.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(rank_zero_only, "rank", 2)
    assert main(["validate", *shrunk, "--out=run", "--ckpt_path=last"]) == 0


def test_a_probe_as_one_of_several_processes_says_what_it_does(small, tmp_path):
    words = ["probe", "--encoder=majority", "--preset=smoke", "--protocols=paper", "--out=probe"]
    words += ["--game=breakout", f"--steps={PROBE_STEPS}", f"--root={small['root']}", "--workers=1"]
    done = subprocess.run(
        [sys.executable, "-m", "lightning_stdim", *words],
        env=os.environ | THIRD,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "breakout, probe, train: " in done.stderr
    assert results(tmp_path / "probe")["scores"]


def test_the_tasks_of_a_job_make_one_run_if_they_are_asked_to(shrunk, narrow, tmp_path):
    """Two processes, as ``srun --ntasks-per-node 2`` starts them."""
    job = {"SLURM_JOB_ID": "1", "SLURM_NTASKS": "2", "SLURM_NTASKS_PER_NODE": "2"}
    job |= {"SLURM_NODEID": "0", "SLURM_JOB_NAME": "fit", "SLURM_NODELIST": "localhost"}
    words = ["fit", *shrunk, *narrow, "--trainer.devices=2", "--out=run", "--protocols=paper"]
    tasks = [
        subprocess.Popen(
            [sys.executable, "-m", "lightning_stdim", *words],
            env={
                **os.environ,
                "OMP_NUM_THREADS": "1",
                **job,
                "SLURM_PROCID": k,
                "SLURM_LOCALID": k,
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for k in "01"
    ]
    said = [task.communicate(timeout=300)[0] for task in tasks]
    assert [task.returncode for task in tasks] == [0, 0], said
    assert "GLOBAL_RANK: 1, MEMBER: 2/2" in said[1]
    assert "results: run/results.json" in said[0]
    assert "results: " not in said[1]
    assert [path.name for path in Path(tmp_path).iterdir()] == ["run"]
    assert results(tmp_path / "run")["budget"]["optimizer_steps"] == 3


def test_the_documented_job_goes_on_whenever_it_is_requeued(shrunk, narrow, tmp_path):
    """The script in docs/benchmark.md, with stand-ins for Slurm and a small budget."""
    docs = (Path(__file__).parents[2] / "docs" / "benchmark.md").read_text()
    (script,) = (
        part for part in re.findall(r"```bash\n(.+?)```", docs, re.S) if "scontrol requeue" in part
    )
    (tmp_path / "job.sh").write_text(script)
    options = shlex.join([*shrunk, *narrow, "--protocols=paper", "--trainer.max_epochs=4"])
    stand_ins = {
        "python": f'exec {sys.executable} "$@" {options}',
        "scontrol": f'echo "$@" >> {tmp_path}/requeued',
    }
    (tmp_path / "bin").mkdir()
    for name, body in stand_ins.items():
        (tmp_path / "bin" / name).write_text(f"#!/bin/bash\n{body}\n")
        (tmp_path / "bin" / name).chmod(0o755)
    job = {"SLURM_JOB_ID": "77", "SLURM_NTASKS": "1", "SLURM_PROCID": "0", "OMP_NUM_THREADS": "1"}
    environment = os.environ | job | {"PATH": f"{tmp_path}/bin:{os.environ['PATH']}"}
    run = tmp_path / "runs" / "pong-st-dim"
    # The time limit comes before there is a checkpoint, then after the first one, then not at all.
    for limit in (run / "config.yaml", run / "checkpoints" / "last.ckpt", None):
        started = time.time()
        with subprocess.Popen(
            ["bash", "job.sh"],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as process:
            deadline = time.monotonic() + 120
            # Written by this job: the one before may have left a checkpoint, too.
            while limit and not (limit.exists() and limit.stat().st_mtime > started):
                assert process.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.01)
            if limit:
                process.terminate()
            said = process.communicate(timeout=300)[0]
        assert (process.returncode == 0) == (limit is None), said
    assert (tmp_path / "requeued").read_text() == "requeue 77\n" * 2
    assert [path.name for path in run.parent.iterdir()] == [run.name]
    assert not list(run.rglob("hpc_ckpt*"))
    assert results(run)["budget"]["epochs"] == 4
    assert "Restored all states from the checkpoint" in said
    epochs = [row["epoch"] for row in metrics(run) if row["val/loss"]]
    assert epochs == [str(k) for k in range(4)]
