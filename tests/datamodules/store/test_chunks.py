"""Chunks that are encoded here, read by HDF5."""

import h5py
import hdf5plugin
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from lightning_stdim.datamodules.store.chunks import ChunkEncoder, decode, fletcher32


def fletcher_of_hdf5(data: bytes) -> int:
    with h5py.File("memory", "w", driver="core", backing_store=False) as file:
        dataset = file.create_dataset("x", data=np.frombuffer(data, np.uint8), fletcher32=True,
                                      chunks=(len(data),))  # fmt: skip
        _, stored = dataset.id.read_direct_chunk((0,))
    assert stored[:-4] == data
    return int.from_bytes(stored[-4:], "little")


@given(st.binary(min_size=1, max_size=2000) | st.integers(1, 400).map(lambda n: b"\xff" * n))
def test_the_checksum_is_hdf5_s(data):
    assert fletcher32(data) == fletcher_of_hdf5(data)


def test_the_checksum_of_a_whole_chunk_s_bytes():
    data = np.random.default_rng(0).integers(200, 256, 1 << 22).astype(np.uint8).tobytes()
    assert fletcher32(data) == fletcher_of_hdf5(data)


def test_hdf5_reads_chunks_and_notices_damage():
    rng = np.random.default_rng(0)
    chunks = [rng.integers(0, high, (4, 21, 16)).astype(np.uint8) for high in (1, 2, 256)]
    encoder = ChunkEncoder()
    encoded = [encoder.encode(chunk) for chunk in chunks]
    with h5py.File("memory", "w", driver="core", backing_store=False) as file:

        def write(name: str, parts: list[bytes]) -> h5py.Dataset:
            dataset = file.create_dataset(name, (4 * len(parts), 21, 16), np.uint8,
                chunks=(4, 21, 16), fletcher32=True, **hdf5plugin.Zstd())  # fmt: skip
            for number, part in enumerate(parts):
                dataset.id.write_direct_chunk((4 * number, 0, 0), part)
            return dataset

        np.testing.assert_array_equal(write("whole", encoded)[...], np.concatenate(chunks))
        for bit in rng.integers(0, 8 * len(encoded[1]), 100).tolist():
            bad = bytearray(encoded[1])
            bad[bit // 8] ^= 1 << bit % 8
            damaged = write(f"bit {bit}", [bytes(bad)]) if f"bit {bit}" not in file else None
            if damaged is not None:
                with pytest.raises(OSError, match="Can't"):
                    damaged[...]


@given(arrays(np.uint8, (4, 21, 16), elements=st.integers(0, 3)))
def test_what_hdf5_writes_is_decoded(chunk):
    with h5py.File("memory", "w", driver="core", backing_store=False) as file:
        dataset = file.create_dataset("x", data=chunk, chunks=chunk.shape, fletcher32=True,
            **hdf5plugin.Zstd())  # fmt: skip
        _, stored = dataset.id.read_direct_chunk((0, 0, 0))
    out = np.empty_like(chunk)
    decode(stored, out)
    np.testing.assert_array_equal(out, chunk)


def test_no_damaged_bit_is_decoded():
    rng = np.random.default_rng(0)
    chunk = rng.integers(0, 2, (4, 21, 16)).astype(np.uint8)
    encoded = ChunkEncoder().encode(chunk)
    for bit in range(8 * len(encoded)):
        bad = bytearray(encoded)
        bad[bit // 8] ^= 1 << bit % 8
        with pytest.raises(ValueError, match="checksum"):
            decode(bytes(bad), np.empty_like(chunk))


@pytest.mark.parametrize("rows", [3, 5])
def test_a_chunk_of_another_size_is_refused(rows):
    encoded = ChunkEncoder().encode(np.zeros((4, 21, 16), np.uint8))
    with pytest.raises(ValueError, match="holds"):
        decode(encoded, np.empty((rows, 21, 16), np.uint8))


def test_what_is_not_zstandard_is_refused():
    noise = bytes(range(100))
    with pytest.raises(ValueError, match="content size"):
        decode(noise + fletcher32(noise).to_bytes(4, "little"), np.empty(10, np.uint8))
