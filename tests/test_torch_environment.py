"""What PyTorch's threads were told, as GNU's OpenMP says itself."""

import os
import subprocess
import sys

import pytest

from lightning_stdim.torch_environment import SETTINGS
from lightning_stdim.utils.hardware import CORES_VARIABLES, affinity_cores

COMMAND = "from lightning_stdim.cli import main; main(['--help']); import torch"


@pytest.mark.skipif(sys.platform != "linux", reason="PyTorch has GNU's OpenMP on Linux")
@pytest.mark.parametrize(
    ("said", "spins"),
    [
        ({}, "'1000'"),
        ({"GOMP_SPINCOUNT": "77"}, "'77'"),
        ({"OMP_WAIT_POLICY": "PASSIVE"}, "'0'"),
    ],
)
def test_threads_sleep_soon_unless_something_else_was_said(said, spins):
    environment = {
        name: value
        for name, value in os.environ.items()
        if name not in SETTINGS and not name.startswith("OMP_")
    }
    done = subprocess.run(
        [sys.executable, "-c", COMMAND],
        env=environment | {"OMP_DISPLAY_ENV": "VERBOSE"} | said,
        check=True,
        capture_output=True,
        text=True,
    )
    lines = done.stderr.splitlines()
    assert [line.split("=")[1].strip() for line in lines if "GOMP_SPINCOUNT" in line] == [spins]


@pytest.mark.parametrize(
    ("command", "said", "threads"),
    [
        ("--help", {"SLURM_CPUS_PER_TASK": "1"}, "1"),
        ("--help", {"LIGHTNING_STDIM_CORES": "1"}, "1"),
        ("--help", {"SLURM_CPUS_PER_TASK": "1", "OMP_NUM_THREADS": "2"}, "2"),
        ("--help", {"SLURM_CPUS_PER_TASK": str(affinity_cores())}, None),
        ("--help", {}, None),
        # Its cells inherit its environment, and a launcher may give them other cores.
        ("benchmark", {"SLURM_CPUS_PER_TASK": "1"}, None),
    ],
)
@pytest.mark.skipif(affinity_cores() < 2, reason="one core is all there is")
def test_threads_are_limited_where_openmp_does_not_know(command, said, threads, tmp_path):
    environment = {
        name: value
        for name, value in os.environ.items()
        if name not in CORES_VARIABLES and not name.startswith("OMP_")
    }
    code = (
        f"from lightning_stdim.cli import main; main([{command!r}, '--none'])\n"
        "import os, torch; print(os.environ.get('OMP_NUM_THREADS'), torch.get_num_threads())"
    )
    out = subprocess.check_output(
        [sys.executable, "-c", code], env=environment | said, text=True, stderr=subprocess.DEVNULL
    )
    told, used = out.splitlines()[-1].split()
    assert told == str(threads)
    if threads:
        assert used == threads
