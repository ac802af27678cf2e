"""The file of a segment, which is kept until the collection is complete.

It is an ``.npz`` file of NumPy's in a Zstandard frame with a checksum. A collection has many
segments, and HDF5 files of so few rows would take several times as long to write.
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
    """Write a segment atomically.

    Args:
        path: the file.
        columns: arrays by name.

    Raises:
        StoreError: it cannot be written.
    """
    memory = io.BytesIO()
    np.savez(memory, allow_pickle=False, **columns)
    # A fast level, since the file is read only once.
    compressed = zstandard.ZstdCompressor(level=1, write_checksum=True).compress(memory.getbuffer())
    # Not durable: waiting for the disk costs more than playing again what a power cut takes.
    with atomically(path, durable=False) as temporary:
        temporary.write_bytes(compressed)


def read(path: Path) -> Columns:
    """Read a segment and verify it.

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
