"""Atomic writing of files and folders."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lightning_stdim.errors import StoreError


@contextmanager
def atomically(path: Path, *, durable: bool = True) -> Iterator[Path]:
    """Write a file or folder under a temporary name, then rename it.

    Args:
        path: the file or folder to make. The folder above it is made if it is missing. An existing
            file is replaced, an existing folder is not.
        durable: wait until a file is on the disk, so that it survives even a power cut.

    Yields:
        A temporary name in the same folder. After an error nothing is left of it.

    Raises:
        StoreError: the file or folder cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        if durable and temporary.is_file():
            with temporary.open("rb") as file:
                os.fsync(file.fileno())  # else a power cut could leave the name without the data
        temporary.replace(path)
    except OSError as error:
        raise StoreError(f"{path} cannot be written: {error.strerror or error}") from error
    finally:
        if temporary.is_dir():
            shutil.rmtree(temporary)
        elif temporary.exists():
            temporary.unlink()
