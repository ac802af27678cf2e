"""The HDF5 file that holds one collection: its schema, how it is written, read and verified."""

from lightning_stdim.datamodules.store.collection import (
    CHUNK_FRAMES,
    EPISODE_COLUMNS,
    SCHEMA,
    Collection,
)
from lightning_stdim.datamodules.store.hdf5 import (
    read,
    read_frames,
    read_parts,
    write,
    write_stream,
)
from lightning_stdim.datamodules.store.seal import check

__all__ = [
    "CHUNK_FRAMES",
    "EPISODE_COLUMNS",
    "SCHEMA",
    "Collection",
    "check",
    "read",
    "read_frames",
    "read_parts",
    "write",
    "write_stream",
]
