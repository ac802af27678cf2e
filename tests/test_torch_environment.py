"""What PyTorch's threads were told, as GNU's OpenMP says itself."""

import os
import subprocess
import sys

import pytest

from lightning_stdim.torch_environment import SETTINGS

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
