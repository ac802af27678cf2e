"""A run's directory on disk, its checkpoints and its configuration."""

from __future__ import annotations

import os
from pathlib import Path

from lightning_stdim.errors import ConfigurationError

CHECKPOINTS = "checkpoints"
SNAPSHOTS = "snapshots"
"""The folder of a run that holds its weights after chosen numbers of optimiser steps."""
CONFIGURATION = "config.yaml"
ENCODER = "encoder"
"""The folder of a run that holds its encoder."""


def run_directory(wanted: Path, *, existing: bool = False) -> Path:
    """Choose a directory for a run, so that nothing is overwritten.

    Args:
        wanted: the preferred directory; if it is taken, ``-2``, ``-3``, ... is appended.
        existing: choose the newest directory that exists, not a new one.

    Returns:
        The directory; ``wanted`` if none exists.
    """
    newest, following, k = wanted, wanted, 1
    while following.exists() and not (following.is_dir() and not any(following.iterdir())):
        newest, k = following, k + 1
        following = wanted.with_name(f"{wanted.name}-{k}")
    return newest if existing else following


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


def place_run(
    wanted: Path, checkpoint: str | None, *, named: bool, resume: bool
) -> tuple[Path, str | None]:
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
        The directory, and the checkpoint's path, or None.

    Raises:
        ConfigurationError: there is no such checkpoint in the directory.
    """
    if checkpoint in ("last", "best"):
        folder = wanted if named else run_directory(wanted, existing=True)
        path = folder / CHECKPOINTS / f"{checkpoint}.ckpt"
        if not path.is_file():
            raise ConfigurationError(
                f"there is no run to go on with: no {path}; name the run's directory with --out, "
                "or leave out --ckpt_path"
            )
        return folder, str(path)
    own = not resume or Path(checkpoint or "").resolve().parent.name == CHECKPOINTS
    if checkpoint is not None and own and not named:
        return run_of(checkpoint), checkpoint
    return run_directory(wanted), checkpoint


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
