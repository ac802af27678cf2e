"""The HDF5 file that holds one collection, and how it is written and read.

Schema 1. Row t is one moment of a game: an observation and the emulator state that it shows.

=================== ==================== =======================================================
dataset             type, shape          meaning
=================== ==================== =======================================================
``frames``          uint8 [N, 210, 160]  greyscale observation, or uint8 [N, 3, 210, 160], RGB
``ram``             uint8 [N, 128]       the RAM of the same emulator state
``labels``          uint8 [N, V]         its annotated state; attribute ``variables`` has names
``actions``         uint8 [N]            the action that led here, an index into the file's
                                         attribute ``actions``; 0 in an episode's first row
``rewards``         float32 [N]          the reward for it, not clipped; 0 in the first row
``lives``           int16 [N]            lives left in this state
``terminated``      bool [N]             this state ended the episode: a life lost or game over
``truncated``       bool [N]             the frame limit or the collection's end cut it here
``episodes/start``  int64 [E]            the episode's first row
``episodes/length`` int64 [E]            its number of rows
``episodes/seed``   int64 [E]            seed of the game that it belongs to
=================== ==================== =======================================================

The state that ends an episode is recorded too, as its last row. From row t the action
``actions[t + 1]`` was taken. The file's attributes hold the provenance.

A chunk of ``frames`` is one plane of 32 successive ones: planes of a colour have more in common
with each other than with the other colours of their frame. So a colour file of Pong is less than
half as large as with chunks of whole frames, and loads no slower.

The first 512 bytes are an HDF5 user block with a header in ASCII: schema, length, the command that
makes the file again, and the SHA-256 of all of this and everything that follows. So a damaged file
is told before HDF5 parses anything in it.
"""

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
from lightning_stdim.datamodules.store.seal import HEADER_BYTES, check, remedy, write_header
from lightning_stdim.errors import StoreError
from lightning_stdim.utils.files import atomically

_CHUNK_ROWS = 4096  # of everything but frames; a multiple of the frames'
# Any moment or library version in the file would make two equal collections differ.
_REPRODUCIBLE: dict[str, Any] = {"libver": ("v110", "v110"), "userblock_size": HEADER_BYTES}


def write(path: Path, collection: Collection) -> None:
    """Write a collection, atomically and so that equal collections make equal files.

    Args:
        path: the file; its folder is made if it is missing.
        collection: what to write; ``attributes["command"]`` is the command that makes it again.

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
        n: the number N of rows.
        frames: at least N times uint8 [210, 160], or [3, 210, 160] in colour; each is used before
            the next is asked for.
        states: gives the state columns and ``labels`` of some rows. It is called for successive
            parts of the collection, each when its last frame has been given.
        finish: gives, when everything else is written, ``start``, ``length`` and ``seed`` of the
            episodes, and the file's attributes.
        variables: as in :class:`Collection`.
        pixels: of the frames.

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
        verify: hash the whole file first (a gigabyte of it takes a second, and 100 000 frames of
            Pong are five megabytes). The header and the file's length are always checked.
        with_frames: False leaves ``frames`` empty, for what RAM and episodes alone can tell.

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
    """Read frames of a collection that :func:`read` has verified, or :func:`check`.

    Args:
        path: the file.
        rows: int64 [n], which of them, strictly ascending; all by default. Every chunk of 32
            frames that they lie in is read and decompressed once.
        out: where to put them, of the shape that is returned; new memory by default.

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
    """Read all frames through memory for some of them, to put them elsewhere.

    Args:
        path: a file that :func:`read` has verified, or :func:`check`.
        room: uint8 [n, 210, 160], or [n, 3, 210, 160] in colour, with n a multiple of 32.

    Yields:
        Rows, n but for the last, and their frames: the beginning of `room`, overwritten by the
        next.

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
    """Read rows to where somebody else has made room for them."""
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
    """Give HDF5 the filter that the data are compressed with."""
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
    """Give an HDF5 file to fill; when done, write its header and move it to `path`."""
    with atomically(path) as temporary:
        with FailsafeFile(temporary) as disk:
            with h5py.File(disk, "w", **_REPRODUCIBLE) as file:
                yield file, disk
                command = file.attrs.get("command", "")
            disk.check()
        write_header(temporary, command)


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """Open a checked file; what HDF5 then finds wrong with it is one clear error."""
    _zstandard()
    try:
        with _unlocked(path) as file:
            yield file
    except StoreError:
        raise
    except (OSError, KeyError, RuntimeError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise StoreError(f"{path} is damaged ({reason}): {remedy(path)}") from error


def _unlocked(path: Path) -> Any:
    """Open for reading: some file systems have no locks, and what is whole never changes."""
    try:
        return h5py.File(path, "r", locking=False)
    except OSError as error:
        if "locking flag" not in str(error):
            raise
        return h5py.File(path, "r")  # as someone in this process has it open
