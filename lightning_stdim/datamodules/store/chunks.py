"""Chunks as HDF5 stores them, compressed with Zstandard and followed by a Fletcher-32 checksum.

They are written and read here, since HDF5's own filters copy every chunk to new memory, which takes
longer than compressing it (``benchmarks/collection.py``), and read one chunk at a time.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import numpy as np
import zstandard
from numpy.typing import NDArray

from lightning_stdim.errors import StoreError
from lightning_stdim.utils.hardware import cores

LEVEL = 3
"""Lowest compression level that finds what frames have in common; half the size of levels 1, 2."""
THREADS = min(8, cores())
"""Threads that decompress. More would wait for Python's lock, which reading a chunk takes."""
CHECKSUM = 4
"""Bytes of the checksum after a compressed chunk."""


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
        return compressed + fletcher32(compressed).to_bytes(CHECKSUM, "little")


def decode(stored: bytes, out: NDArray[np.uint8]) -> None:
    """Check and decompress a chunk.

    Args:
        stored: what :meth:`ChunkEncoder.encode` returned, or HDF5 wrote with these two filters.
        out: where to put it, C-contiguous and of the chunk's size.

    Raises:
        ValueError: the chunk is damaged or of another size.
    """
    compressed, checksum = stored[:-CHECKSUM], stored[-CHECKSUM:]
    if fletcher32(compressed) != int.from_bytes(checksum, "little"):
        raise ValueError("a chunk has another checksum")
    try:
        size = zstandard.frame_content_size(compressed)
        if size == out.nbytes:
            reader = zstandard.ZstdDecompressor().stream_reader(compressed)
            size = reader.readinto(out.reshape(-1).data)
    except zstandard.ZstdError as error:
        raise ValueError(str(error)) from None
    if size != out.nbytes:
        raise ValueError(f"a chunk holds {size} bytes, not {out.nbytes}")


def read_rows(dataset: Any, rows: NDArray[np.int64], out: NDArray[np.uint8]) -> None:
    """Read frames, each chunk that they lie in once, and several chunks at a time.

    Args:
        dataset: an open ``h5py.Dataset`` uint8 [N, 210, 160] or [N, 3, 210, 160] with these two
            filters; its chunks hold one plane of successive frames.
        rows: int64 [n], rows of the frames, strictly ascending.
        out: where to put them, uint8 [n, 210, 160] or [n, 3, 210, 160].

    Raises:
        IndexError: the dataset has no such rows, or they are in another order.
        OSError: a chunk cannot be read.
        StoreError: the system allows no more threads.
        ValueError: a chunk is damaged, or not filtered.
    """
    # HDF5 takes any row here, and ends the process for some.
    if len(rows) and not (0 <= rows[0] <= rows[-1] < len(dataset) and (np.diff(rows) > 0).all()):
        raise IndexError(f"rows of {len(dataset)} frames must ascend from 0 or more: {rows}")
    size, *_, height, width = dataset.chunks

    def read(start: int, stop: int, plane: tuple[int, ...]) -> None:
        first = int(rows[start]) // size * size
        skipped, stored = dataset.id.read_direct_chunk((first, *plane, 0, 0))
        if skipped:
            raise ValueError("a chunk was written without its filters")
        where: tuple[slice | int, ...] = (slice(start, stop), *plane)
        wanted = out[where]  # [k, 210, 160]
        if len(wanted) == size and wanted.flags.c_contiguous:  # all of its frames
            decode(stored, wanted)
        else:
            whole = np.empty((size, height, width), np.uint8)
            decode(stored, whole)
            # Straight to its place: "raise" would go through a copy.
            whole.take(rows[start:stop] - first, axis=0, out=wanted, mode="clip")

    edges = [0, *(np.flatnonzero(np.diff(rows // size)) + 1).tolist(), len(rows)]
    with ThreadPoolExecutor(THREADS) as pool:
        try:
            chunks = [
                pool.submit(read, start, stop, plane)
                for start, stop in pairwise(edges)
                for plane in np.ndindex(dataset.shape[1:-2])  # luma's only one is ()
                if start < stop
            ]
        except RuntimeError as error:
            raise StoreError(f"frames are read by {THREADS} threads: {error}") from None
        try:
            for chunk in chunks:
                chunk.result()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def fletcher32(data: bytes) -> int:
    """Compute the checksum of HDF5's filter.

    Big-endian words of 16 bits, the last one padded with zeros; two sums modulo 65 535, of the
    words and of their running sums. Source: HDF5 file format specification 3.0, filter 3, and
    Fletcher 1982.

    Args:
        data: at most 2**22 bytes.

    Returns:
        The second sum in the upper 16 bits, the first one in the lower.
    """
    words = np.frombuffer(data + bytes(len(data) % 2), ">u2").astype(np.uint64)
    sums = words.sum(), words @ np.arange(len(words), 0, -1, dtype=np.uint64)
    # Carries are added in again, so what is not zero stays so: 65 535 and not 0.
    first, second = ((int(total) - 1) % 0xFFFF + 1 if total else 0 for total in sums)
    return second << 16 | first
