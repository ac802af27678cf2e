"""Reading and writing the HDF5 file of a collection (its schema: ``store/__init__.py``)."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from lightning_stdim.datamodules.columns import STATE_COLUMNS, Columns, States
from lightning_stdim.datamodules.pixels import Pixels, frame_shape
from lightning_stdim.datamodules.store.chunks import LEVEL, ChunkEncoder, read_rows
from lightning_stdim.datamodules.store.collection import CHUNK_FRAMES, EPISODE_COLUMNS, Collection
from lightning_stdim.datamodules.store.failsafe_file import FailsafeFile
from lightning_stdim.datamodules.store.seal import (
    HEADER_BYTES,
    check,
    open_for_writing,
    remedy,
    write_header,
)
from lightning_stdim.errors import StoreError
from lightning_stdim.utils.files import atomically

_CHUNK_ROWS = 4096  # of all datasets but frames; a multiple of CHUNK_FRAMES
# A time stamp or a library's version in the file would make equal collections differ.
_REPRODUCIBLE: dict[str, Any] = {"libver": ("v110", "v110"), "userblock_size": HEADER_BYTES}


def write(path: Path, collection: Collection) -> None:
    """Write a collection atomically; equal collections make equal files.

    Args:
        path: the file; its folder is made if it is missing.
        collection: the collection; ``attributes["command"]`` is the command that makes it again.

    Raises:
        StoreError: the file cannot be written.
    """
    columns = {**collection.columns(), "labels": collection.labels}
    episodes = {name: getattr(collection, f"episode_{name}") for name in EPISODE_COLUMNS}
    write_stream(
        path,
        len(collection),
        collection.frames,
        lambda rows: {name: column[rows] for name, column in columns.items()},
        lambda: (episodes, collection.attributes),
        variables=collection.variables,
        pixels=collection.pixels,
    )


def write_stream(
    path: Path,
    n: int,
    frames: Iterable[NDArray[np.uint8]],
    states: Callable[[slice], Columns],
    finish: Callable[[], tuple[Columns, dict[str, Any]]],
    *,
    variables: tuple[str, ...],
    pixels: Pixels = "luma",
) -> None:
    """Write a collection while it is being made, in memory that does not grow with it.

    Args:
        path: the file; its folder is made if it is missing.
        n: number N of rows.
        frames: at least N frames, uint8 [210, 160], or [3, 210, 160] in colour. Each is used before
            the next is asked for.
        states: returns the state columns and ``labels`` of some rows. It is called for successive
            parts of the collection, for each when its last frame has been given.
        finish: returns ``start``, ``length`` and ``seed`` of the episodes, and the file's
            attributes. It is called when everything else has been written.
        variables: names of the labels' columns.
        pixels: what the frames' pixels are.

    Raises:
        StoreError: the file cannot be written.
    """
    labels = np.empty((0, len(variables)), np.uint8)
    with _sealed(path) as (file, disk):
        *channels, height, width = frame_shape(pixels)
        screens = _dataset(file, "frames", (n, *channels, height, width), np.dtype(np.uint8))
        columns = {
            name: _dataset(file, name, (n, *column.shape[1:]), column.dtype)
            for name, column in {**States.empty(0).columns(), "labels": labels}.items()
        }
        columns["labels"].attrs["variables"] = np.array(variables, dtype="S")
        # Whole chunks, so that each is compressed once; and always in the same order, as the
        # order in which chunks are written is their order in the file.
        chunks = np.empty((*channels, screens.chunks[0], height, width), np.uint8)
        encoder = ChunkEncoder()
        stop = 0
        for stop, frame in enumerate(islice(frames, n), start=1):
            chunks[..., (stop - 1) % CHUNK_FRAMES, :, :] = frame
            if stop % CHUNK_FRAMES == 0 or stop == n:
                rows = _last_chunk(stop, CHUNK_FRAMES)
                chunks[..., stop - rows.start :, :, :] = 0
                for plane in np.ndindex(*channels):  # luma's only one is ()
                    chunk = encoder.encode(chunks[plane])
                    screens.id.write_direct_chunk((rows.start, *plane, 0, 0), chunk)
                disk.check()
            if stop % _CHUNK_ROWS == 0 or stop == n:
                rows = _last_chunk(stop, _CHUNK_ROWS)
                given = states(rows)
                if given["labels"].dtype != np.uint8:  # HDF5 would clip what a byte does not hold
                    raise StoreError(f"{path} takes labels as uint8, not {given['labels'].dtype}")
                for name, dataset in columns.items():
                    dataset[rows] = given[name]
        if stop != n:
            raise StoreError(f"{path} was to hold {n} frames but {stop} came")
        episodes, attributes = finish()
        file.attrs.update(attributes)
        for name, column in episodes.items():
            _dataset(file, f"episodes/{name}", column.shape, column.dtype)[...] = column


def _last_chunk(stop: int, size: int) -> slice:
    return slice((stop - 1) // size * size, stop)


def read(
    path: str | os.PathLike[str], *, verify: bool = True, with_frames: bool = True
) -> Collection:
    """Read a whole collection into memory.

    Args:
        path: the file.
        verify: hash the whole file first. That takes a second for a gigabyte, and 100 000 frames of
            Pong have five megabytes. The header and the file's length are always checked.
        with_frames: read the frames, too; otherwise ``frames`` is empty.

    Returns:
        The collection.

    Raises:
        StoreError: the file is missing, not a file of collected frames, of another schema version,
            truncated or damaged. The message says what to do.
    """
    path = Path(path)
    check(path, verify=verify)
    with _opened(path) as file:
        labels = file["labels"]
        stored = file["frames"]
        frames = np.empty((len(stored) if with_frames else 0, *stored.shape[1:]), np.uint8)
        read_rows(stored, np.arange(len(frames)), frames)
        return Collection(
            frames=frames,
            **{name: file[name][...] for name in STATE_COLUMNS},
            labels=labels[...],
            variables=tuple(name.decode() for name in labels.attrs["variables"]),
            **{f"episode_{name}": file[f"episodes/{name}"][...] for name in EPISODE_COLUMNS},
            attributes={
                name: value.item() if isinstance(value, np.generic) else value
                for name, value in file.attrs.items()
            },
        )


def read_frames(
    path: Path,
    rows: NDArray[np.int64] | None = None,
    *,
    out: NDArray[np.uint8] | None = None,
) -> NDArray[np.uint8]:
    """Read frames of a file that :func:`read` or :func:`check` has verified.

    Args:
        path: the file.
        rows: int64 [n], rows of the frames, strictly ascending; all by default. Every chunk of 32
            frames that they lie in is read and decompressed once.
        out: where to put the frames, of the shape that is returned; new memory by default.

    Returns:
        uint8 [n, 210, 160], or [n, 3, 210, 160] in colour.

    Raises:
        IndexError: there are no such rows, or they do not ascend.
        StoreError: the file is missing, truncated, damaged where it was read, or its frames do not
            fill `out`.
    """
    check(path, verify=False)
    with _opened(path) as file:
        stored = file["frames"]
        if rows is None:
            rows = np.arange(len(stored))
        if out is None:
            out = np.empty((len(rows), *stored.shape[1:]), np.uint8)
        _fill(out, path, stored, rows)
        return out


def read_parts(path: Path, room: NDArray[np.uint8]) -> Iterator[tuple[slice, NDArray[np.uint8]]]:
    """Read all frames part by part, with memory for one part.

    Args:
        path: a file that :func:`read` or :func:`check` has verified.
        room: memory for a part, uint8 [n, 210, 160], or [n, 3, 210, 160] in colour, with n a
            multiple of 32.

    Yields:
        The rows of a part, n except in the last, and their frames. These lie at the beginning of
        `room`, where the next part overwrites them.

    Raises:
        StoreError: the file is missing, truncated, or damaged where it was read.
    """
    check(path, verify=False)
    with _opened(path) as file:
        stored = file["frames"]
        for first in range(0, len(stored), len(room)):
            part = room[: len(stored) - first]
            _fill(part, path, stored, np.arange(first, first + len(part)))
            yield slice(first, first + len(part)), part


def _fill(out: NDArray[np.uint8], path: Path, stored: Any, rows: NDArray[np.int64]) -> None:
    """Read frames into memory of the caller, if it has the right shape."""
    shape = (len(rows), *stored.shape[1:])
    if out.shape != shape:
        raise StoreError(f"{path} has frames {shape} and had {out.shape}: something changed it")
    read_rows(stored, rows, out)


def _dataset(file: Any, name: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Any:
    """Create a compressed, checksummed dataset without a time stamp."""
    if len(shape) > 2:  # frames
        chunks = (min(CHUNK_FRAMES, shape[0]), *[1] * (len(shape) - 3), *shape[-2:])
    else:
        chunks = (min(_CHUNK_ROWS, shape[0]), *shape[1:])
    return file.create_dataset(
        name,
        shape,
        dtype,
        chunks=chunks,
        track_times=False,
        **_zstandard().Zstd(clevel=LEVEL),
        fletcher32=True,
    )


def _zstandard() -> Any:
    """Load the compression filter into HDF5."""
    try:
        import hdf5plugin

        if h5py.h5z.filter_avail(hdf5plugin.Zstd.filter_id):
            return hdf5plugin
        reason = "hdf5plugin does not fit the installed h5py"
    except ImportError as error:
        reason = str(error)
    raise StoreError(
        f"HDF5 has no Zstandard filter, which frames are compressed with ({reason}): "
        "`pip install hdf5plugin`, or `pip install --force-reinstall hdf5plugin h5py`"
    )


@contextmanager
def _sealed(path: Path) -> Iterator[tuple[Any, FailsafeFile]]:
    """Open a new HDF5 file; when the block ends, write its header and move it to `path`."""
    with atomically(path) as temporary:
        with FailsafeFile(temporary) as disk:
            with h5py.File(disk, "w", **_REPRODUCIBLE) as file:
                yield file, disk
                command = file.attrs.get("command", "")
            disk.check()
        write_header(temporary, command)


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """Open a checked file; whatever HDF5 finds wrong with it is one clear error."""
    _zstandard()
    try:
        with _unlocked(path) as file:
            yield file
    except StoreError:
        raise
    except (OSError, KeyError, RuntimeError, ValueError) as error:
        reason = str(error).splitlines()[0]
        if "open for write" in reason:  # since it was checked
            raise open_for_writing(path) from error
        if isinstance(error, OSError) and error.errno:  # of the system, not of the file
            raise StoreError(f"{path} cannot be read: {os.strerror(error.errno)}") from error
        raise StoreError(f"{path} is damaged ({reason}): {remedy(path)}") from error


def _unlocked(path: Path) -> Any:
    """Open for reading without a lock: some file systems have none, and files never change.

    If this process has it open already, with a lock, HDF5 wants it opened in the same way.
    """
    for locking in (False, "best-effort"):
        try:
            return h5py.File(path, "r", locking=locking)
        except OSError as error:
            if "flag values don't match" not in str(error):
                raise
    return h5py.File(path, "r", locking=True)
