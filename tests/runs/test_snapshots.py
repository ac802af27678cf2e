"""Which snapshots are asked for, and which a run has."""

import pytest

from lightning_stdim.errors import ConfigurationError
from lightning_stdim.runs.snapshots import snapshot_steps, snapshots_of


@pytest.mark.parametrize(
    ("wanted", "steps"),
    [("", ()), ("0", (0,)), ("0, 1000,2000", (0, 1000, 2000)), (1000, (1000,)), ([1, 20], (1, 20))],
)
def test_steps(wanted, steps):
    assert snapshot_steps(wanted) == steps


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ("1000,-5", "-5 must be at least 0"),
        ("2000,1000", "1000 follows 2000"),
        ([7, 7], "7 is given twice"),
        ("1e3", "'1e3' is not a number of optimiser steps"),
        ("1000;2000", "'1000;2000' is not a number"),
        ([1.5], "must be an integer"),
    ],
)
def test_wrong_steps(wanted, said):
    with pytest.raises(ConfigurationError, match=said):
        snapshot_steps(wanted)


def test_snapshots_of_a_run_are_ordered_by_number(tmp_path):
    assert snapshots_of(tmp_path) == {}
    folder = tmp_path / "snapshots"
    folder.mkdir()
    for name in ("step1000", "step20", "step1000-v1", "step", "stepfather", "last"):
        (folder / f"{name}.ckpt").touch()
    (folder / "step5.ckpt.tmp").touch()
    assert list(snapshots_of(tmp_path).items()) == [
        (20, folder / "step20.ckpt"),
        (1000, folder / "step1000.ckpt"),
    ]
