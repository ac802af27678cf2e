"""What every run is given of the machine."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from lightning_stdim.benchmark import executors
from lightning_stdim.benchmark.executors import LocalExecutor, shares
from lightning_stdim.cli import main
from lightning_stdim.utils.hardware import cores
from tests.specs import spec


@pytest.fixture(autouse=True)
def no_settings(monkeypatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


def test_one_at_a_time_has_the_whole_machine() -> None:
    assert shares(1) == [{}]


def test_cores_are_divided(monkeypatch) -> None:
    monkeypatch.setattr(executors, "cores", lambda: 16)
    assert {share["OMP_NUM_THREADS"] for share in shares(3)} == {"5"}
    assert {share["LIGHTNING_STDIM_CORES"] for share in shares(3)} == {"5"}
    assert {share["OMP_NUM_THREADS"] for share in shares(40)} == {"1"}
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    assert {share["OMP_NUM_THREADS"] for share in shares(3)} == {"2"}
    assert {share["LIGHTNING_STDIM_CORES"] for share in shares(3)} == {"5"}


def test_a_run_collects_with_its_share(tmp_path) -> None:
    """A run itself says so: with two at a time on two cores each has one."""
    environment = {name: value for name, value in os.environ.items() if "CPUS" not in name}
    code = "from lightning_stdim.datamodules.atari import AtariDataModule as A; print(A().workers)"
    for jobs in (1, 2):
        share = shares(jobs)[0]
        command = [sys.executable, "-c", code]
        out = subprocess.check_output(command, env=environment | share, text=True)
        assert int(out) == max(1, cores() // jobs)


def test_a_run_is_in_the_session_but_not_in_the_process_group(tmp_path) -> None:
    """The session's priority holds for it; a Ctrl-C in the terminal does not reach it."""
    code = "import os; print(os.getsid(0), os.getpgid(0) == os.getpid())"
    with (tmp_path / "lock").open("w") as lock:
        executor = LocalExecutor(1, lock, program=[sys.executable, "-c", code])
        executor.start(spec(), [], tmp_path / "log")
        executor.running[spec()][1].wait()
    assert (tmp_path / "log").read_text().split() == [str(os.getsid(0)), "True"]


def test_a_launcher_that_is_not_there_is_refused_before_a_run_starts(tmp_path, capsys) -> None:
    out = tmp_path / "out"
    options = ["--methods=majority", "--preset=smoke", "--launcher=no-such-launcher -n1"]
    assert main(["benchmark", *options, f"--out={out}", f"--root={tmp_path}"]) == 2
    assert "launcher 'no-such-launcher' is not a command here" in capsys.readouterr().err
    assert not list(out.rglob("seed*"))


def test_devices_are_taken_in_turn(monkeypatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,GPU-8f")
    assert [share["CUDA_VISIBLE_DEVICES"] for share in shares(3)] == ["4", "GPU-8f", "4"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert all("CUDA_VISIBLE_DEVICES" not in share for share in shares(3))
    assert os.environ["CUDA_VISIBLE_DEVICES"] == ""
