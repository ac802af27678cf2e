"""A segment of a game on disk, for the time until the collection is whole.

NumPy's own format in a Zstandard frame with a checksum: an HDF5 file of so few rows would take
several times as long to write, and a collection has many of them.
"""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import zstandard

from lightning_stdim.datamodules.columns import Columns
from lightning_stdim.errors import StoreError
from lightning_stdim.utils.files import atomically


def write(path: Path, columns: Columns) -> None:
    """Write a segment, atomically.

    Args:
        path: the file.
        columns: arrays by name.

    Raises:
        StoreError: it cannot be written.
    """
    memory = io.BytesIO()
    np.savez(memory, allow_pickle=False, **columns)
    # It is read once: a fast level.
    compressed = zstandard.ZstdCompressor(level=1, write_checksum=True).compress(memory.getbuffer())
    # What a power cut takes is played again, and is not worth waiting for the disk.
    with atomically(path, durable=False) as temporary:
        temporary.write_bytes(compressed)


def read(path: Path) -> Columns:
    """Read a segment, and make sure that it is what was written.

    Args:
        path: the file.

    Returns:
        The arrays by name.

    Raises:
        StoreError: it is missing or damaged.
    """
    try:
        stream = zstandard.ZstdDecompressor().decompressobj()
        memory = io.BytesIO(stream.decompress(path.read_bytes()))
        if not stream.eof or stream.unused_data:
            raise EOFError("it does not end where its content does")
        with np.load(memory, allow_pickle=False) as arrays:
            return dict(arrays)
    except (OSError, EOFError, ValueError, zstandard.ZstdError) as error:
        raise StoreError(f"{path} is missing or damaged: {error}") from error
