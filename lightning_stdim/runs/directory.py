"""Where a run is on disk."""

from __future__ import annotations

from pathlib import Path

CHECKPOINTS = "checkpoints"


def run_directory(wanted: Path, *, existing: bool = False) -> Path:
    """Choose a directory that overwrites nothing.

    Args:
        wanted: the name asked for; ``-2``, ``-3``, ... is appended if it is taken.
        existing: the newest one that there is instead of a new one.

    Returns:
        The directory; ``wanted`` if an existing one was asked for and there is none.
    """
    newest, following, k = wanted, wanted, 1
    while following.exists() and not (following.is_dir() and not any(following.iterdir())):
        newest, k = following, k + 1
        following = wanted.with_name(f"{wanted.name}-{k}")
    return newest if existing else following


def run_of(checkpoint: str | Path) -> Path:
    """Name the directory of the run that a checkpoint belongs to.

    Args:
        checkpoint: its path.

    Returns:
        The directory above ``checkpoints``, or the checkpoint's own.
    """
    parent = Path(checkpoint).parent
    return parent.parent if parent.name == CHECKPOINTS else parent
