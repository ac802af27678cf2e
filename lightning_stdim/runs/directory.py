"""A run's directory on disk: claiming it, its checkpoints and its configuration."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import NamedTuple

from lightning_stdim.errors import ConfigurationError
from lightning_stdim.utils.directories import LOCK, LOCKS, hold_directory
from lightning_stdim.utils.locks import LockHeldError

CHECKPOINTS = "checkpoints"
SNAPSHOTS = "snapshots"
"""The folder of a run that holds its weights after chosen numbers of optimiser steps."""
CONFIGURATION = "config.yaml"
ENCODER = "encoder"
"""The folder of a run that holds its encoder."""

_AT_FIRST = {*LOCKS, CONFIGURATION, "hparams.yaml", "tensorboard"}
"""Names of all that a run has written when its first epoch begins."""


class DirectoryTakenError(ConfigurationError):
    """A directory is in use, or has something in it that a new run would overwrite."""


class Place(NamedTuple):
    """Where a command works.

    Attributes:
        folder: the run's directory.
        checkpoint: the checkpoint's path; None for none.
        existing: whether the checkpoint is of the run in that directory, so that the command goes
            on there. Otherwise the directory has to be claimed, which may number it.
    """

    folder: Path
    checkpoint: str | None
    existing: bool


@contextmanager
def claim_run(wanted: Path, *, number: bool = False) -> Iterator[Path]:
    """Make the directory of a new run, and hold it, so that no other process uses it.

    It is free if it is missing or empty, or if all that it has is of a run that ended before its
    first checkpoint. If this one ends before it has logged anything, what it has written is removed
    in the end.

    Args:
        wanted: the directory.
        number: if it is not free, take the first that is of those with ``-2``, ``-3``, ...
            appended.

    Yields:
        The directory. Nobody else claims or holds it as long as the block and its process last.

    Raises:
        DirectoryTakenError: it is not free, and ``number`` is not set.
        StoreError: it cannot be made or written.
    """
    with ExitStack() as held:
        for folder in _numbered(wanted):
            try:
                held.enter_context(_new(folder))
            except DirectoryTakenError:
                if not number:
                    raise
            else:
                yield folder
                return


@contextmanager
def hold_run(folder: Path) -> Iterator[None]:
    """Hold the directory of a run that exists, so that no other process goes on with it.

    Args:
        folder: the directory; it is made if it is missing.

    Yields:
        Nothing.

    Raises:
        DirectoryTakenError: another process holds it.
        StoreError: it cannot be written.
    """
    with ExitStack() as held:
        try:
            held.enter_context(hold_directory(folder))
        except LockHeldError as error:
            raise DirectoryTakenError(f"{folder} is in use by another process: {error}") from None
        yield


def clear_run(folder: Path) -> None:
    """Remove a run's directory, unless another process holds it.

    Args:
        folder: the directory; it may be missing.
    """
    if folder.is_dir():
        with suppress(DirectoryTakenError, OSError):
            with hold_run(folder):
                _clear(folder)
            folder.rmdir()


def newest_run(wanted: Path) -> Path:
    """Find the run that was made last under a name.

    Args:
        wanted: the directory that :func:`claim_run` was asked for.

    Returns:
        The directory with the greatest number; ``wanted`` if there is none.
    """
    numbers = {
        int(found[1] or 1)
        for path in (wanted.parent.iterdir() if wanted.parent.is_dir() else ())
        if (found := re.fullmatch(rf"{re.escape(wanted.name)}(?:-(\d+))?", path.name))
    }
    newest = max(numbers, default=1)  # one that failed at once has left a gap
    return wanted if newest == 1 else wanted.with_name(f"{wanted.name}-{newest}")


def _numbered(wanted: Path) -> Iterator[Path]:
    yield wanted
    for k in count(2):
        yield wanted.with_name(f"{wanted.name}-{k}")


@contextmanager
def _new(folder: Path) -> Iterator[None]:
    """Claim one directory."""
    _check_free(folder)  # before anything is written there
    with hold_run(folder):
        _check_free(folder)
        _clear(folder)
        try:
            yield
        finally:
            if _names(folder) <= _AT_FIRST:
                _clear(folder)


def _check_free(folder: Path) -> None:
    if _is_free(folder):
        return
    if (folder / CHECKPOINTS / "last.ckpt").is_file():
        advice = "holds a run already: give another --out, or --ckpt_path last to go on with it"
    else:
        advice = "is not empty: give another --out, or remove it"
    raise DirectoryTakenError(f"{folder} {advice}")


def _is_free(folder: Path) -> bool:
    try:
        names = _names(folder)
    except (FileNotFoundError, NotADirectoryError):
        return not os.path.lexists(folder)
    except PermissionError:
        return True  # as far as can be seen; taking hold of it will say what is wrong
    # Without the lock, these may be files of the user's own.
    return names <= LOCKS or (LOCK in names and names <= {*_AT_FIRST, "metrics.csv"})


def _names(folder: Path) -> set[str]:
    """Name what is in a directory, except for empty folders."""
    return {entry.name for entry in folder.iterdir() if not _is_empty(entry)}


def _is_empty(folder: Path) -> bool:
    return folder.is_dir() and not any(folder.iterdir())


def _clear(folder: Path) -> None:
    """Remove all but the locks from a directory."""
    for entry in folder.iterdir():
        if entry.name in LOCKS:
            continue
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()


def kept_checkpoint(run: Path) -> Path:
    """Name the checkpoint that a run's encoder is taken from.

    Args:
        run: the run's directory.

    Returns:
        The best one, or else the last; that may be missing, too.
    """
    best, last = (run / CHECKPOINTS / f"{name}.ckpt" for name in ("best", "last"))
    return best if best.is_file() else last


def run_of(checkpoint: str | Path) -> Path:
    """Name the directory of the run that a checkpoint belongs to.

    Args:
        checkpoint: the checkpoint's path.

    Returns:
        The directory that has the folder ``checkpoints`` or ``snapshots``, or else the
        checkpoint's own folder.
    """
    parent = Path(checkpoint).parent
    return parent.parent if parent.name in (CHECKPOINTS, SNAPSHOTS) else parent


def run_of_encoder(encoder: str | Path) -> Path | None:
    """Find the directory of the run that an encoder belongs to.

    Args:
        encoder: the path of a folder or a file.

    Returns:
        The absolute path of the directory; None unless the encoder is that directory, its folder
        ``encoder`` or a file in its folder ``checkpoints`` or ``snapshots``.
    """
    path = Path(os.path.abspath(encoder))  # "encoder" alone has a parent, too
    if (path / ENCODER).is_dir():
        return path
    if path.is_dir():
        return path.parent if path.name == ENCODER else None
    return path.parent.parent if path.parent.name in (CHECKPOINTS, SNAPSHOTS) else None


def place_run(wanted: Path, checkpoint: str | None, *, named: bool, resume: bool) -> Place:
    """Choose a run's directory, and find the checkpoint that a command goes on with.

    Args:
        wanted: the directory that the command asks for, or the default.
        checkpoint: a path; ``"last"`` or ``"best"`` for one in that directory, or in the newest of
            those that were numbered after it, if the command does not name it; None for none.
        named: whether the command itself names the directory. Otherwise the directory of the
            checkpoint's run is preferred: the run may have been moved since its configuration was
            written.
        resume: whether training goes on. If the checkpoint is in a folder ``checkpoints``, the run
            keeps its directory; otherwise it gets a new one.

    Returns:
        The place.

    Raises:
        ConfigurationError: there is no such checkpoint in the directory.
    """
    if checkpoint in ("last", "best"):
        folder = wanted if named else newest_run(wanted)
        path = folder / CHECKPOINTS / f"{checkpoint}.ckpt"
        if not path.is_file():
            raise ConfigurationError(
                f"there is no run to go on with: no {path}; name the run's directory with --out, "
                "or leave out --ckpt_path"
            )
        return Place(folder, str(path), existing=True)
    if checkpoint is not None and (
        not resume or Path(checkpoint).resolve().parent.name == CHECKPOINTS
    ):
        folder = run_of(checkpoint)
        if not named or folder.resolve() == wanted.resolve():
            return Place(folder, checkpoint, existing=True)
    return Place(wanted, checkpoint, existing=False)


def configuration_of(out: str | None, checkpoint: str | None) -> Path | None:
    """Find the configuration of the run that a command goes on with.

    Args:
        out: the directory that the command names.
        checkpoint: as for :func:`place_run`.

    Returns:
        The run's ``config.yaml``; None if no run is named, or it has none.
    """
    if checkpoint in ("last", "best"):
        folder = Path(out) if out else None
    else:
        folder = run_of(checkpoint) if checkpoint else None
    path = folder / CONFIGURATION if folder else None
    return path if path and path.is_file() else None
