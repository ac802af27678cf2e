"""Resizing by averaging over areas, which OpenCV calls ``INTER_AREA``."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class AreaResize(nn.Module):
    """Reduction of frames to a smaller size, each new pixel being the mean over its area.

    The new size need not divide the old one: a pixel on the edge of two areas counts in both, in
    proportion. PyTorch's mode "area" is adaptive pooling instead, whose areas overlap then.

    Args:
        before: height and width of the frames, in pixels.
        after: height and width of the result, in pixels, at most those of the frames.
    """

    rows: Tensor
    columns: Tensor

    def __init__(self, before: Sequence[int], after: Sequence[int]) -> None:
        super().__init__()
        rows, columns = (_shares(*sizes) for sizes in zip(before, after, strict=True))
        self.register_buffer("rows", rows, persistent=False)
        self.register_buffer("columns", columns.T, persistent=False)

    def forward(self, frames: Tensor) -> Tensor:
        """Resize float [..., height, width] from the size before to the size after."""
        # Not under autocast: grey levels are 1/255 apart, less than bfloat16 can tell near 1.
        with torch.autocast(frames.device.type, enabled=False):
            resized: Tensor = self.rows @ frames @ self.columns
        return resized


def _shares(pixels: int, fewer: int) -> Tensor:
    """Return the weight of each old pixel in each new one, float [fewer, pixels]."""
    edges = torch.arange(fewer + 1, dtype=torch.float64) * pixels / fewer
    left = torch.arange(pixels, dtype=torch.float64)
    overlap = torch.minimum(edges[1:, None], left + 1) - torch.maximum(edges[:-1, None], left)
    return (overlap.clamp(min=0) * fewer / pixels).float()
