"""Chunks as HDF5 stores them: what its filters Zstandard and Fletcher-32 make of the data.

HDF5 itself copies every chunk and asks the system for new memory, which takes longer than
compressing it (``benchmarks/collection.py``).
"""

from __future__ import annotations

import numpy as np
import zstandard
from numpy.typing import NDArray

LEVEL = 3
"""Zstandard's: the first that finds what a chunk's frames have in common: half of 1's and 2's."""


class ChunkEncoder:
    """Compresses one chunk after the other with the same memory."""

    def __init__(self) -> None:
        self._zstandard = zstandard.ZstdCompressor(LEVEL)

    def encode(self, chunk: NDArray[np.uint8]) -> bytes:
        """Compress a chunk and put its checksum behind it.

        Args:
            chunk: C-contiguous, of the dataset's whole chunk shape.

        Returns:
            What ``write_direct_chunk`` takes for a dataset with these two filters.
        """
        compressed = self._zstandard.compress(chunk.data)
        return compressed + fletcher32(compressed).to_bytes(4, "little")


def fletcher32(data: bytes) -> int:
    """Compute the checksum of HDF5's filter.

    Big-endian words of 16 bits, the last one padded with zeros; two sums modulo 65 535, of the
    words and of their running sums. Source: HDF5 file format specification 3.0, filter 3, and
    Fletcher 1982.

    Args:
        data: at most 2**20 bytes.

    Returns:
        The second sum in the upper 16 bits, the first one in the lower.
    """
    words = np.frombuffer(data + bytes(len(data) % 2), ">u2").astype(np.uint64)
    sums = words.sum(), words @ np.arange(len(words), 0, -1, dtype=np.uint64)
    # Carries are added in again, so what is not zero stays so: 65 535 and not 0.
    first, second = ((int(total) - 1) % 0xFFFF + 1 if total else 0 for total in sums)
    return second << 16 | first
