"""Directories that one process at a time works in."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from lightning_stdim.errors import StoreError
from lightning_stdim.utils.locks import LockHeldError, exclusive_lock

LOCK = ".lock"
LOCKS = {LOCK, f"{LOCK}.held"}
"""Names of the lock's files; see :func:`exclusive_lock`."""

_RETRIES = 100


@contextmanager
def hold_directory(folder: Path) -> Iterator[None]:
    """Hold a directory, so that no other process does; make it if it is missing.

    Args:
        folder: the directory. If it is made here and nothing is written to it, it is removed in the
            end, with folders above it that were made for it.

    Yields:
        Nothing.

    Raises:
        LockHeldError: another process holds it.
        StoreError: it cannot be made or written.
    """
    made = [path for path in (folder, *folder.parents) if not path.exists()]
    with ExitStack() as held:
        held.callback(_remove_empty, made)  # after the lock is released
        _hold(folder, held)
        try:
            yield
        finally:
            if {entry.name for entry in folder.iterdir()} <= LOCKS:
                (folder / LOCK).unlink(missing_ok=True)


def _hold(folder: Path, held: ExitStack) -> None:
    """Lock a directory until a stack is closed."""
    for retries in reversed(range(_RETRIES)):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with ExitStack() as attempt:
                lock = attempt.enter_context(exclusive_lock(folder / LOCK))
                if os.fstat(lock.fileno()).st_nlink:
                    held.push(attempt.pop_all())
                    return
        except OSError as error:
            if not (isinstance(error, FileNotFoundError | FileExistsError) and retries):
                raise StoreError(
                    f"{folder} cannot be written ({error.strerror}); choose another directory with "
                    "--out"
                ) from error
        # Another process, which had made the directory, has just removed it.
    raise LockHeldError


def _remove_empty(folders: list[Path]) -> None:
    """Remove directories, the innermost first, up to one that is not empty."""
    with suppress(OSError):
        for folder in folders:
            folder.rmdir()
