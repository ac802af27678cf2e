"""Where annotated objects are on the screen.

A coordinate in RAM is not a pixel: its origin, its scale and even its direction differ from game to
game and from object to object. ``screen_positions.json`` beside this file has the linear maps that
``studies/positions.py`` measured on frames, and how often something was seen there. Objects that
it could not find are missing, and are not drawn.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Axis:
    """A linear map from a label to a pixel: ``offset + scale * label``.

    Attributes:
        variable: variable of the label; None if the object does not move along this axis.
        scale: pixels per unit of the label.
        offset: the pixel of label 0.
        seen: smallest and largest label with which the object is on the screen.
    """

    variable: str | None
    scale: float
    offset: float
    seen: tuple[int, int]

    def pixel(self, labels: Mapping[str, NDArray[Any]], n: int) -> NDArray[np.float64]:
        """Compute the coordinate of the object's middle.

        Args:
            labels: for each variable its labels, integer [n].
            n: number of frames.

        Returns:
            float64 [n]; NaN where the object is not on the screen.
        """
        if self.variable is None:
            return np.full(n, self.offset)
        values = labels[self.variable].astype(np.float64)
        there = (self.seen[0] <= values) & (values <= self.seen[1])
        return np.where(there, self.offset + self.scale * values, np.nan)


@dataclass(frozen=True)
class Landmark:
    """An object that can be drawn where the labels say.

    Attributes:
        name: such as ``"ball"``.
        x: the horizontal axis, 0 to 159.
        y: the vertical axis, 0 to 209, downwards.
        size: width and height in pixels.
        present: share of frames, 0 to 1, in which something was seen at that place.
    """

    name: str
    x: Axis
    y: Axis
    size: tuple[int, int]
    present: float

    @property
    def variables(self) -> tuple[str, ...]:
        """The variables that give its position, one or two."""
        return tuple(axis.variable for axis in (self.x, self.y) if axis.variable)

    def middle(self, labels: Mapping[str, NDArray[Any]]) -> NDArray[np.float64]:
        """Compute where the object is.

        Args:
            labels: for each of its variables its labels, integer [n].

        Returns:
            float64 [n, 2], pixels x and y of its middle; NaN where it is not on the screen.
        """
        n = len(labels[self.variables[0]])
        middle = np.stack([self.x.pixel(labels, n), self.y.pixel(labels, n)], axis=1)
        return np.where(np.isnan(middle).any(1, keepdims=True), np.nan, middle)


@cache
def landmarks(game: str) -> tuple[Landmark, ...]:
    """List the objects of a game whose place on the screen is known.

    Args:
        game: canonical name.

    Returns:
        The objects; none for a game without any.
    """
    facts = json.loads(
        files("lightning_stdim.datamodules.labels")
        .joinpath("screen_positions.json")
        .read_text("utf-8")
    )

    def axis(entry: Mapping[str, Any]) -> Axis:
        low, high = entry.get("seen", (0, 255))
        return Axis(entry.get("variable"), entry.get("scale", 0.0), entry["offset"], (low, high))

    return tuple(
        Landmark(name, axis(entry["x"]), axis(entry["y"]), tuple(entry["size"]), entry["present"])
        for name, entry in facts["games"].get(game, {}).items()
    )
