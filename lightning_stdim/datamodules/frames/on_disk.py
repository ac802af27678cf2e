"""Frames that do not fit in memory and stay compressed in their file until they are needed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from lightning_stdim.datamodules import store


def gather_frames(frames: Tensor, index: Tensor) -> Tensor:
    """Compute ``frames[index]``, for which PyTorch itself would copy one byte at a time.

    Args:
        frames: [N, ...], of any type.
        index: int64 of any shape, 0 to N - 1.

    Returns:
        The frames, with the dimensions of `index` before those of a frame.
    """
    if not frames.is_contiguous():
        return frames[index]
    rows = frames.flatten(1)
    if rows.shape[1] * rows.itemsize % 8 == 0 == rows.storage_offset() * rows.itemsize % 8:
        rows = rows.view(torch.int64)
    taken = rows.index_select(0, index.flatten()).view(frames.dtype)
    return taken.view(*index.shape, *frames.shape[1:])


class FramesOnDisk:
    """A collection's frames, which can be indexed like a tensor and are never all in memory.

    Args:
        path: a file that has been verified.
        shape: N, 210 and 160, or N, 3, 210 and 160 in colour.
        rows: int64 [N], the stored row that each frame is; by default its own.
    """

    device = torch.device("cpu")

    def __init__(
        self, path: Path, shape: Sequence[int], rows: npt.NDArray[np.int64] | None = None
    ) -> None:
        self.path = path
        self.rows = rows
        self.shape = torch.Size(shape)
        self.nbytes = self.shape.numel()

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: Tensor | slice) -> Tensor:
        """Read frames; every chunk of 32 that they lie in is read once.

        Args:
            index: int64 of any shape, 0 to N - 1, or a slice.

        Returns:
            uint8, with the dimensions of `index` before those of a frame, as from a tensor.
        """
        if isinstance(index, slice):
            index = torch.from_numpy(np.arange(*index.indices(len(self))))
        wanted = index.numpy() if self.rows is None else self.rows[index.numpy()]
        rows, inverse = np.unique(wanted, return_inverse=True)
        frames = torch.from_numpy(store.read_frames(self.path, rows))
        return gather_frames(frames, torch.from_numpy(inverse).reshape(index.shape))


Frames = Tensor | FramesOnDisk
