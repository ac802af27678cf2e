"""Files and folders that a reader sees whole or not at all."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lightning_stdim.errors import StoreError


@contextmanager
def atomically(path: Path) -> Iterator[Path]:
    """Write under another name, then rename.

    Args:
        path: the file or folder to make; the folder above it is made if it is missing. A file that
            is there is replaced, a folder is not.

    Yields:
        The temporary name, in the same folder. After an error nothing is left of it.

    Raises:
        StoreError: it cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        temporary.replace(path)
    except OSError as error:
        raise StoreError(f"{path} cannot be written: {error.strerror or error}") from error
    finally:
        if temporary.is_dir():
            shutil.rmtree(temporary)
        elif temporary.exists():
            temporary.unlink()
