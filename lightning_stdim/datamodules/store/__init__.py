"""The HDF5 file that holds one collection: its schema, how it is written, read and verified.

Schema 1. A row is one moment of a game: an observation and the emulator state that it shows.

=================== ==================== =======================================================
dataset             type, shape          meaning
=================== ==================== =======================================================
``frames``          uint8 [N, 210, 160]  greyscale observation, or uint8 [N, 3, 210, 160], RGB
``ram``             uint8 [N, 128]       the RAM of the same emulator state
``labels``          uint8 [N, V]         its annotated variables; their names are in the dataset's
                                         attribute ``variables``
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

An episode's last row is the state that ends it. The action taken in row t is ``actions[t + 1]``.
The file's attributes tell how the collection was made.

A chunk of ``frames`` is one colour plane of 32 successive frames: these have more in common than
the planes of one frame. A colour file of Pong is less than half as large as it would be with chunks
of whole frames, and loads as fast.

The first 512 bytes, which HDF5 leaves to its users, are a header in ASCII: the schema, the file's
length, the command that makes the file again, and the SHA-256 of all this and everything that
follows (``seal.py``). A damaged file is recognised before HDF5 parses any of it.
"""

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
