"""Smaller frames, each pixel the mean over its area: what OpenCV calls INTER_AREA."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class AreaResize(nn.Module):
    """Reduce frames to a size that need not divide theirs; parts of pixels count in part.

    PyTorch's own mode "area" is adaptive pooling, whose areas overlap where sizes do not divide.

    Args:
        before: height and width of the frames.
        after: height and width of the result, at most as large.
    """

    rows: Tensor
    columns: Tensor

    def __init__(self, before: Sequence[int], after: Sequence[int]) -> None:
        super().__init__()
        rows, columns = (_shares(*sizes) for sizes in zip(before, after, strict=True))
        self.register_buffer("rows", rows, persistent=False)
        self.register_buffer("columns", columns.T, persistent=False)

    def forward(self, frames: Tensor) -> Tensor:
        """Resize: float [..., height, width] before -> after."""
        with torch.autocast(frames.device.type, enabled=False):  # a grey level is 1/255
            resized: Tensor = self.rows @ frames @ self.columns
        return resized


def _shares(pixels: int, fewer: int) -> Tensor:
    """Give the share of each of `pixels` in each of `fewer` equal parts, float [fewer, pixels]."""
    edges = torch.arange(fewer + 1, dtype=torch.float64) * pixels / fewer
    left = torch.arange(pixels, dtype=torch.float64)
    overlap = torch.minimum(edges[1:, None], left + 1) - torch.maximum(edges[:-1, None], left)
    return (overlap.clamp(min=0) * fewer / pixels).float()
