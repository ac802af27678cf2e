"""A file for HDF5 on a disk that may be full."""

import io

import h5py
import numpy as np
import pytest

from lightning_stdim.datamodules.store.failsafe_file import FailsafeFile
from tests.datamodules.faults import file_size_limit


def test_it_is_a_file_like_any_other(tmp_path):
    rng = np.random.default_rng(0)
    truth = io.BytesIO()
    with FailsafeFile(tmp_path / "a") as disk:
        for _ in range(200):
            position, size = rng.integers(0, 5000), rng.integers(0, 300)
            for file in (disk, truth):
                file.seek(int(position))
            assert disk.read(int(size)) == truth.read(int(size))
            assert disk.tell() == truth.tell()
            data = memoryview(rng.bytes(int(size)))
            assert disk.write(data) == truth.write(data)
        assert disk.truncate(3000) == truth.truncate(3000)
        disk.check()
    assert (tmp_path / "a").read_bytes() == truth.getvalue()


def test_hdf5_closes_a_file_that_does_not_fit_and_the_error_is_told(tmp_path):
    data = np.random.default_rng(0).integers(0, 256, 50_000, np.uint8)
    for limit in range(0, 50_000, 5000):
        with file_size_limit(limit), FailsafeFile(tmp_path / "a") as disk:
            with h5py.File(disk, "w") as file:
                for name in ("x", "y"):
                    file.create_dataset(name, data=data, chunks=(1000,))
                assert (file["x"][:] == data).all()
            with pytest.raises(OSError, match="File too large"):
                disk.check()
