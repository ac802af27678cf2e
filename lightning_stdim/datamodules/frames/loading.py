"""Loading a collection's frames: to the device, into memory, or not at all if they do not fit."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from lightning_stdim.datamodules import store
from lightning_stdim.datamodules.frames.on_disk import Frames, FramesOnDisk
from lightning_stdim.errors import StoreError
from lightning_stdim.utils.hardware import available_memory

SHARE = 0.7
"""Largest share of the available memory that frames may take."""
PART = 1024
"""Frames that are decompressed at once on their way to a GPU: 34 MB, or 103 MB in colour."""


def load_frames(
    path: Path,
    shape: Sequence[int],
    *,
    processes: int = 1,
    device: torch.device = FramesOnDisk.device,
) -> Frames:
    """Load a collection's frames; if they do not fit, say so and leave them on disk.

    Args:
        path: a file that has been verified.
        shape: N, 210 and 160, or N, 3, 210 and 160 in colour.
        processes: number of processes on this machine that do the same at the same time.
        device: where the frames are wanted. If they do not fit there, they are loaded into memory.

    Returns:
        uint8 [N, 210, 160], or [N, 3, 210, 160] in colour.

    Raises:
        StoreError: the file cannot be read, or has frames of another shape.
    """
    if device.type == "cuda" and fits(math.prod(shape), device):
        return load_in_parts(path, shape, device)
    n, frame_bytes = shape[0], math.prod(shape[1:])
    needed, available = n * frame_bytes, available_memory() // processes
    if needed <= SHARE * available:
        return torch.from_numpy(store.read_frames(path, out=np.empty(shape, np.uint8)))
    from pytorch_lightning.utilities import rank_zero_info  # late: it takes seconds to import

    rank_zero_info(
        f"{n} frames take {needed / 1e9:.1f} GB and {available / 1e9:.1f} GB of memory are "
        f"available: they stay compressed in {path} and every batch reads its own, which is slower "
        "by about 0.1 ms a frame (more in colour) and changes no number. To have them in "
        f"memory, ask for at most {int(SHARE * available / frame_bytes)} steps, or give this "
        "process more memory"
    )
    return FramesOnDisk(path, shape)


def rearranged(frames: Frames, rows: npt.NDArray[np.int64]) -> Frames:
    """Let frames show other rows of their collection.

    Args:
        frames: [N, ...], all frames of a collection. A tensor is written to.
        rows: int64 [N], the row that each frame is to show.

    Returns:
        The same tensor, or frames on disk that read the other rows.
    """
    moved = np.flatnonzero(rows != np.arange(len(rows)))
    if not len(moved):
        return frames
    if isinstance(frames, FramesOnDisk):
        return FramesOnDisk(frames.path, frames.shape, rows)
    frames[torch.from_numpy(moved)] = frames[torch.from_numpy(rows[moved])]
    return frames


def fits(nbytes: int, device: torch.device) -> bool:
    """Tell whether a GPU has memory for frames.

    Args:
        nbytes: size of the frames in bytes.
        device: a CUDA device.

    Returns:
        True if they take at most 0.7 of its free memory; the rest is for the model.
    """
    free, _ = torch.cuda.mem_get_info(device)
    kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return nbytes <= SHARE * (free + kept)  # PyTorch keeps memory that was freed


def load_in_parts(path: Path, shape: Sequence[int], device: torch.device) -> Tensor:
    """Decompress frames to a device part by part, with memory for one part.

    Args:
        path: a file that has been verified.
        shape: N, 210 and 160, or N, 3, 210 and 160 in colour.
        device: a device with memory for all of them.

    Returns:
        uint8 of that shape, on the device.

    Raises:
        StoreError: the file cannot be read, or has another number of frames.
    """
    frames = torch.empty(tuple(shape), dtype=torch.uint8, device=device)
    # Page-locked, so that the device copies it without the CPU.
    room = torch.empty((PART, *shape[1:]), dtype=torch.uint8, pin_memory=device.type == "cuda")
    done = 0
    for rows, part in store.read_parts(path, room.numpy()):
        frames[rows] = torch.from_numpy(part)  # done when this returns: the room is free again
        done = rows.stop
    if done != len(frames):
        raise StoreError(f"{path} has {done} frames and had {len(frames)}: something changed it")
    return frames
