"""Segments of games on disk."""

import io

import numpy as np
import pytest
import zstandard
from hypothesis import given
from hypothesis.extra import numpy as arrays

from lightning_stdim.datamodules.collection import segment_file
from lightning_stdim.errors import StoreError
from tests.datamodules.faults import file_size_limit

COLUMNS = {"ram": np.arange(1280, dtype=np.uint8).reshape(10, 128), "where": np.arange(7)}


@given(arrays.arrays(np.uint8, (5, 3)), arrays.arrays(np.float32, 4))
def test_what_is_written_is_read(tmp_path_factory, first, second):
    path = tmp_path_factory.mktemp("segments") / "a.npz.zst"
    segment_file.write(path, {"first": first, "second": second})
    read = segment_file.read(path)
    assert list(read) == ["first", "second"]
    for written, back in ((first, read["first"]), (second, read["second"])):
        assert back.dtype == written.dtype
        np.testing.assert_array_equal(back, written)
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_no_damaged_bit_changes_what_is_read(tmp_path):
    path = tmp_path / "a.npz.zst"
    segment_file.write(path, COLUMNS)
    good = path.read_bytes()
    harmless = 0
    for bit in range(8 * len(good)):
        bad = bytearray(good)
        bad[bit // 8] ^= 1 << bit % 8
        path.write_bytes(bad)
        try:
            read = segment_file.read(path)
        except StoreError:
            pass
        else:  # the formats have a few bits that mean nothing
            harmless += 1
            assert all(np.array_equal(read[name], COLUMNS[name]) for name in COLUMNS)
    assert harmless < len(good) / 10


def test_cut_short_or_missing_or_something_else(tmp_path):
    path = tmp_path / "a.npz.zst"
    with pytest.raises(StoreError, match="missing"):
        segment_file.read(path)
    segment_file.write(path, COLUMNS)
    good = path.read_bytes()
    pickled = io.BytesIO()
    np.savez(pickled, np.array([object()]))
    others = [good[:size] for size in range(len(good))]
    others += [zstandard.compress(content) for content in (b"", b"x", pickled.getvalue())]
    for other in others:
        path.write_bytes(other)
        with pytest.raises(StoreError, match="damaged"):
            segment_file.read(path)


def test_a_full_disk_leaves_nothing(tmp_path):
    with file_size_limit(100), pytest.raises(StoreError, match="cannot be written: File too large"):
        segment_file.write(tmp_path / "a.npz.zst", COLUMNS)
    assert list(tmp_path.iterdir()) == []
