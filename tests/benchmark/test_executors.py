"""What every run is given of the machine."""

from __future__ import annotations

import os

import pytest

from lightning_stdim.benchmark import executors
from lightning_stdim.benchmark.executors import shares


@pytest.fixture(autouse=True)
def no_settings(monkeypatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


def test_one_at_a_time_has_the_whole_machine() -> None:
    assert shares(1) == [{}]


def test_cores_are_divided(monkeypatch) -> None:
    monkeypatch.setattr(executors, "cores", lambda: 16)
    assert {share["OMP_NUM_THREADS"] for share in shares(3)} == {"5"}
    assert {share["OMP_NUM_THREADS"] for share in shares(40)} == {"1"}
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    assert {share["OMP_NUM_THREADS"] for share in shares(3)} == {"2"}


def test_devices_are_taken_in_turn(monkeypatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,GPU-8f")
    assert [share["CUDA_VISIBLE_DEVICES"] for share in shares(3)] == ["4", "GPU-8f", "4"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert all("CUDA_VISIBLE_DEVICES" not in share for share in shares(3))
    assert os.environ["CUDA_VISIBLE_DEVICES"] == ""
