"""Frames that do not fit in memory: they stay compressed in their file until they are needed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from lightning_stdim.datamodules import store
from lightning_stdim.datamodules.memory import available_memory

SHARE = 0.7
"""Of the memory that is available, for frames; the rest is for all else."""


class FramesOnDisk:
    """A collection's frames, indexed like the tensor of them and never all in memory.

    Args:
        path: a file that has been verified.
        shape: N, 210 and 160, or N, 3, 210 and 160 in colour.
    """

    device = torch.device("cpu")

    def __init__(self, path: Path, shape: Sequence[int]) -> None:
        self.path = path
        self.shape = torch.Size(shape)
        self.nbytes = self.shape.numel()

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: Tensor | slice) -> Tensor:
        """Read frames, each chunk of 32 that they lie in once.

        Args:
            index: int64 of any shape, 0 to N - 1, or a slice.

        Returns:
            uint8, the shape of `index` and then a frame's: what the tensor of all frames gives.
        """
        if isinstance(index, slice):
            index = torch.from_numpy(np.arange(*index.indices(len(self))))
        rows, inverse = np.unique(index.numpy(), return_inverse=True)
        frames = torch.from_numpy(store.read_frames(self.path, rows))
        return frames[torch.from_numpy(inverse).reshape(index.shape)]


Frames = Tensor | FramesOnDisk


def load_frames(path: Path, shape: Sequence[int], *, processes: int = 1) -> Frames:
    """Load a collection's frames, or leave them on disk if they do not fit, and say so.

    Args:
        path: a file that has been verified.
        shape: as for :class:`FramesOnDisk`.
        processes: how many processes on this machine do the same at once.

    Returns:
        uint8 [N, 210, 160], or [N, 3, 210, 160] in colour.

    Raises:
        StoreError: the file cannot be read.
    """
    n, frame_bytes = shape[0], math.prod(shape[1:])
    needed, available = n * frame_bytes, available_memory() // processes
    if needed <= SHARE * available:
        return torch.from_numpy(store.read_frames(path))
    from lightning.pytorch.utilities import rank_zero_info  # late: it takes seconds to import

    rank_zero_info(
        f"{n} frames take {needed / 1e9:.1f} GB and {available / 1e9:.1f} GB of memory are "
        f"available: they stay compressed in {path} and every batch reads its own, which is slower "
        "by about 0.3 ms a frame, in colour up to 1 ms, and changes no number. To have them in "
        "memory, ask for at most "
        f"{int(SHARE * available / frame_bytes)} steps, or give this process more of it"
    )
    return FramesOnDisk(path, shape)
