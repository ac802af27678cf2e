"""Sharing one copy of a collection's frames between all ranks of a node."""

from __future__ import annotations

import os
import secrets
from collections.abc import Sequence
from contextlib import suppress
from math import prod
from pathlib import Path

import numpy as np
import torch
from pytorch_lightning import Trainer
from torch import Tensor

from lightning_stdim.datamodules import store
from lightning_stdim.datamodules.frames.loading import SHARE
from lightning_stdim.errors import StoreError
from lightning_stdim.utils.hardware import available_memory

FOLDER = Path("/dev/shm")
"""Where Linux keeps files in memory."""


def share_frames(path: Path, shape: Sequence[int], trainer: Trainer) -> Tensor | None:
    """Load a collection's frames once per node, together with all other ranks.

    The first rank of a node reads them into a file in memory, which all ranks map. The file is
    unlinked before this returns, so its memory is freed when the last rank ends, in whatever way.
    (A rank that is killed within this call can leave the file behind.)

    Args:
        path: a file that has been verified.
        shape: N, 210 and 160, or N, 3, 210 and 160 in colour.
        trainer: the run's trainer; every rank has to call this.

    Returns:
        uint8 of that shape, which must not be written to. None if the frames do not fit in memory
        or cannot be read, or if the system has no such files or too little room for them (a
        container's limit may be low): then every rank has to load its own.
    """
    token = trainer.strategy.broadcast(secrets.token_hex(8))
    # Several nodes may be on one machine, as containers or in a test.
    shared = FOLDER / f"lightning-stdim-{token}-{trainer.node_rank}"
    first = trainer.local_rank == 0
    if first and prod(shape) <= SHARE * available_memory():
        with suppress(OSError, AttributeError, StoreError):  # some systems lack posix_fallocate
            _write(path, shape, shared)
    trainer.strategy.barrier("frames written")
    frames = None
    if shared.exists():
        flat = torch.from_file(str(shared), shared=True, size=prod(shape), dtype=torch.uint8)
        frames = flat.view(*shape)
    trainer.strategy.barrier("frames mapped")
    if first:
        shared.unlink(missing_ok=True)
    return frames


def _write(path: Path, shape: Sequence[int], shared: Path) -> None:
    """Write the frames' file; after an error none is left."""
    try:
        with shared.open("xb") as file:
            # Reserve the room now: too little would crash the process later, at some page.
            os.posix_fallocate(file.fileno(), 0, prod(shape))
        store.read_frames(path, out=np.memmap(shared, np.uint8, "r+", shape=tuple(shape)))
    except BaseException:
        shared.unlink(missing_ok=True)
        raise
