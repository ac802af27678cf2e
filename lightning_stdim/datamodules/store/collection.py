"""A collection in memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lightning_stdim.datamodules.columns import States
from lightning_stdim.datamodules.pixels import Pixels, frame_shape

SCHEMA = 1
"""Version of the file's format, which the package's docstring describes."""
CHUNK_FRAMES = 32
"""Frames that are compressed together."""
EPISODE_COLUMNS = ("start", "length", "seed")
"""Datasets with one value per episode."""


@dataclass(kw_only=True)
class Collection(States):
    """Everything that the file of a collection holds.

    Attributes:
        frames: uint8 [N, 210, 160], or [N, 3, 210, 160] in colour.
        labels: uint8 [N, V].
        episode_start: int64 [E], ascending.
        episode_length: int64 [E]; episodes are adjacent and cover all N rows.
        episode_seed: int64 [E].
        variables: names of the V columns of `labels`.
        attributes: how the collection was made, as plain data.
    """

    frames: NDArray[np.uint8]
    labels: NDArray[np.uint8]
    episode_start: NDArray[np.int64]
    episode_length: NDArray[np.int64]
    episode_seed: NDArray[np.int64]
    variables: tuple[str, ...]
    attributes: dict[str, Any]

    @property
    def pixels(self) -> Pixels:
        """The pixel format of the frames, ``"luma"`` or ``"rgb"``."""
        return "luma" if self.frames.shape[1:] == frame_shape("luma") else "rgb"
