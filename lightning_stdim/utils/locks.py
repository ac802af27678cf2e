"""Locks between processes, on any file system."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO

import filelock


class LockHeldError(Exception):
    """Another process holds a lock. The message says what to do, for the end of a longer one.

    Attributes:
        unless: the message's second half: what to delete if there is no such process; may be empty.
    """

    def __init__(self, leftover: Path | None = None) -> None:
        self.unless = f"; if there is none, delete {leftover}" if leftover else ""
        super().__init__(f"wait for it or end it{self.unless}")


@contextmanager
def exclusive_lock(path: Path) -> Iterator[IO[str]]:
    """Hold a lock between processes, without waiting for it.

    The system releases the lock when the process ends, however it ends. Some file systems have no
    such locks, or none that work, and each fails with another error. There the lock is a second
    file, ``<path>.held``, that names this machine and process. Where that process is known to be
    gone, the file is removed; a machine cannot know that of another one.

    Args:
        path: the lock's file, in a folder that exists. It is made if it is missing, and stays.

    Yields:
        The open file. A child process that inherits it holds the lock, too, and keeps it after
        this process has ended; not so a lock that is a second file.

    Raises:
        LockHeldError: another process holds the lock, or this one, elsewhere.
        OSError: the file cannot be made or written.
    """
    with ExitStack() as held:
        file = held.enter_context(path.open("a"))
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):  # some systems have the second for the first
            raise LockHeldError from None
        except OSError:  # no locks here
            marker = path.with_name(f"{path.name}.held")
            soft = filelock.SoftFileLock(marker, thread_local=False)
            try:
                held.enter_context(soft.acquire(timeout=0))
            except filelock.Timeout:
                raise LockHeldError(marker) from None
        yield file
