"""Observations that consist of several successive frames."""

from __future__ import annotations

import torch
from torch import Tensor

from lightning_stdim.datamodules.frames.on_disk import Frames, FramesOnDisk, gather_frames


def stacked(positions: Tensor, starts: Tensor, size: int) -> Tensor:
    """List the frames that make up observations.

    Args:
        positions: int64 [...], positions of the observations' newest frames.
        starts: int64 [E], positions of the episodes' first frames, ascending.
        size: number of frames in an observation, at least 1.

    Returns:
        int64 [..., size], their positions, the newest frame last. At the beginning of an episode
        its first frame is repeated.
    """
    back = torch.arange(1 - size, 1, device=positions.device)
    episode = torch.bucketize(positions, starts, right=True) - 1
    return torch.maximum(positions[..., None] + back, starts[episode][..., None])


def observations(frames: Frames, positions: Tensor, starts: Tensor, size: int) -> Tensor:
    """Stack frames as channels.

    Args:
        frames: uint8 [N, H, W], or [N, 3, H, W] in colour.
        positions: int64 [...], as for :func:`stacked`.
        starts: int64 [E], as for :func:`stacked`.
        size: number of frames in an observation, at least 1.

    Returns:
        uint8 [..., C, H, W], where C is `size`, or 3 x `size` in colour: red, green and blue of the
        oldest frame come first.
    """
    index = stacked(positions, starts, size)
    found = frames[index] if isinstance(frames, FramesOnDisk) else gather_frames(frames, index)
    return found.flatten(positions.ndim, -3)
