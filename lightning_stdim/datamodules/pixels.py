"""The kinds of pixels that frames can have: luma (grey), or red, green and blue."""

from __future__ import annotations

from typing import Literal

from lightning_stdim.errors import ConfigurationError

Pixels = Literal["luma", "rgb"]

CHANNELS: dict[Pixels, int] = {"luma": 1, "rgb": 3}
"""Number of colour planes of a frame."""


def frame_shape(pixels: Pixels) -> tuple[int, ...]:
    """Give the shape of a frame.

    Args:
        pixels: kind of its pixels.

    Returns:
        (210, 160), or (3, 210, 160) in colour.

    Raises:
        ConfigurationError: there is no such kind.
    """
    if pixels not in CHANNELS:
        raise ConfigurationError(f"pixels={pixels!r}: choose {' or '.join(map(repr, CHANNELS))}")
    return (210, 160) if pixels == "luma" else (CHANNELS[pixels], 210, 160)
