"""The cores that a process may use, as the system and its environment tell it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from lightning_stdim.cli import main
from lightning_stdim.datamodules.atari import AtariDataModule
from lightning_stdim.datamodules.collection import collect as collect_module
from lightning_stdim.utils import hardware
from lightning_stdim.utils.hardware import CORES_VARIABLES, cores

NOWHERE = Path("/nowhere")


@pytest.fixture(autouse=True)
def _eight_cores(monkeypatch) -> None:
    monkeypatch.setattr(hardware, "affinity_cores", lambda: 8)
    for name in CORES_VARIABLES:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def system(tmp_path) -> Path:
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/cgroup").write_text("4:cpu:/x\n0::/job/step\n")
    (tmp_path / "sys/fs/cgroup/job/step").mkdir(parents=True)
    return tmp_path


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="the system has no affinity")
def test_of_its_affinity():
    """As under ``taskset -c``; every default that depends on the cores is one then."""
    code = (
        "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n"
        "from lightning_stdim.datamodules.atari import AtariDataModule\n"
        "from lightning_stdim.datamodules.store import chunks\n"
        "from lightning_stdim.utils.hardware import cores\n"
        "print(cores(), AtariDataModule().workers, chunks.THREADS)"
    )
    out = subprocess.check_output([sys.executable, "-c", code], text=True)
    assert out.split() == ["1", "1", "1"]


def test_the_smallest_quota_around_a_process_counts(system):
    groups = system / "sys/fs/cgroup"
    assert cores(system) == 8
    (groups / "job/step/cpu.max").write_text("max 100000\n")
    assert cores(system) == 8
    (groups / "job/cpu.max").write_text("250000 100000\n")  # two cores and a half
    assert cores(system) == 3
    (groups / "cpu.max").write_text("20000 50000\n")
    assert cores(system) == 1
    (system / "proc/self/cgroup").write_text("0::/\n")  # as a container sees it
    assert cores(system) == 1


@pytest.mark.parametrize("name", CORES_VARIABLES)
def test_what_the_environment_says(name, monkeypatch):
    for said, expected in (("3", 3), ("64", 8), ("", 8), ("0", 1), ("many", 8)):
        monkeypatch.setenv(name, said)
        assert cores(NOWHERE) == expected


def test_the_least_counts(monkeypatch):
    monkeypatch.setenv("SLURM_CPUS_ON_NODE", "6")
    monkeypatch.setenv("SLURM_CPUS_PER_TASK", "4")
    assert cores(NOWHERE) == 4
    monkeypatch.setenv("LIGHTNING_STDIM_CORES", "2")
    assert cores(NOWHERE) == 2


def test_so_many_processes_collect(tmp_path, monkeypatch):
    monkeypatch.setenv("SLURM_CPUS_PER_TASK", "1")
    assert AtariDataModule().workers == 1
    asked = []

    def collect(settings, *, workers, root):
        asked.append(workers)
        return tmp_path

    monkeypatch.setattr(collect_module, "collect", collect)
    assert main(["collect"]) == main(["collect", "--workers", "3"]) == 0
    assert asked == [1, 3]
