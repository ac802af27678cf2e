"""Locks between processes, also where the file system has none."""

from __future__ import annotations

import errno
import fcntl
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from lightning_stdim.utils.locks import LockHeldError, exclusive_lock

HOLD = """
import errno, fcntl, os, sys
from pathlib import Path
from lightning_stdim.utils.locks import exclusive_lock
if sys.argv[2] != "0":
    def flock(*_):
        raise OSError(int(sys.argv[2]), "no locks")
    fcntl.flock = flock
with exclusive_lock(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""
NO_LOCKS = [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EINVAL, errno.EIO]


def without_locks(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """Let locks fail as on a file system that has none, if the number of an error is given."""

    def flock(*_: object) -> None:
        raise OSError(number, "no locks")

    if number:
        monkeypatch.setattr(fcntl, "flock", flock)


@pytest.fixture(params=[0, errno.ENOLCK], ids=["locks", "no-locks"])
def number(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    without_locks(monkeypatch, request.param)
    return int(request.param)


def test_one_process_at_a_time_holds_a_lock(tmp_path: Path, number: int) -> None:
    path = tmp_path / ".lock"
    command = [sys.executable, "-c", HOLD, str(path), str(number)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with pytest.raises(LockHeldError, match="wait for it or end it") as error:
            exclusive_lock(path).__enter__()
        # What can outlive its process on another machine is named, since nobody else removes it.
        assert (str(path) + ".held" in str(error.value)) == bool(number)
        other.kill()
    for _ in range(2):  # neither a dead process is in the way, nor an earlier holder
        with exclusive_lock(path):
            pass


def test_a_lock_is_released_after_an_error(tmp_path: Path, number: int) -> None:
    with suppress(ZeroDivisionError), exclusive_lock(tmp_path / ".lock"):
        raise ZeroDivisionError
    with exclusive_lock(tmp_path / ".lock"), pytest.raises(LockHeldError):
        exclusive_lock(tmp_path / ".lock").__enter__()


@pytest.mark.parametrize("number", NO_LOCKS)
def test_a_lock_excludes_others_whatever_error_says_that_there_are_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    without_locks(monkeypatch, number)
    with exclusive_lock(tmp_path / ".lock"), pytest.raises(LockHeldError):
        exclusive_lock(tmp_path / ".lock").__enter__()


@pytest.mark.parametrize("error", [errno.EAGAIN, errno.EACCES])
def test_a_held_lock_is_no_missing_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: int
) -> None:
    without_locks(monkeypatch, error)
    with pytest.raises(LockHeldError):
        exclusive_lock(tmp_path / ".lock").__enter__()
    assert not (tmp_path / ".lock.held").exists()


def test_a_child_that_inherits_the_file_keeps_the_lock(tmp_path: Path) -> None:
    path = tmp_path / ".lock"
    with exclusive_lock(path) as file:
        child = subprocess.Popen(["sleep", "60"], pass_fds=[file.fileno()])
    try:
        with pytest.raises(LockHeldError):
            exclusive_lock(path).__enter__()
    finally:
        child.kill()
        child.wait()
    with exclusive_lock(path):
        pass


def test_a_folder_that_cannot_be_written_is_no_missing_lock() -> None:
    with pytest.raises(OSError, match="Not a directory"):
        exclusive_lock(Path("/dev/null/.lock")).__enter__()
