"""What the pixels of a collection's frames are: luma, or red, green and blue."""

from __future__ import annotations

from typing import Literal

from lightning_stdim.errors import ConfigurationError

Pixels = Literal["luma", "rgb"]

CHANNELS: dict[Pixels, int] = {"luma": 1, "rgb": 3}
"""Numbers per pixel, planes per frame."""


def frame_shape(pixels: Pixels) -> tuple[int, ...]:
    """Give the shape of a frame.

    Args:
        pixels: what its pixels are.

    Returns:
        (210, 160), or (3, 210, 160) in colour.

    Raises:
        ConfigurationError: they are something else.
    """
    if pixels not in CHANNELS:
        raise ConfigurationError(f"pixels={pixels!r}: choose {' or '.join(map(repr, CHANNELS))}")
    return (210, 160) if pixels == "luma" else (CHANNELS[pixels], 210, 160)
