"""Frames with the true and the predicted place of objects drawn on them."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from lightning_stdim.datamodules.labels.screen_positions import Landmark, landmarks
from lightning_stdim.runs.predictions import Predictions

HEIGHT, WIDTH = 210, 160


@dataclass(frozen=True)
class Mark:
    """An object in one frame.

    Attributes:
        name: name of the object.
        size: width and height in pixels.
        true: x and y of the object's middle in pixels; None if it is not on the screen.
        predicted: the same, as the probe predicts it.
    """

    name: str
    size: tuple[int, int]
    true: tuple[float, float] | None
    predicted: tuple[float, float] | None


@dataclass(frozen=True)
class Picture:
    """One frame.

    Attributes:
        row: its position in the collection.
        frame: its position among the frames that are kept.
        marks: the objects that are there, or that are predicted to be.
    """

    row: int
    frame: int
    marks: tuple[Mark, ...]

    @property
    def description(self) -> str:
        """The places of all objects, in words."""

        def place(where: tuple[float, float] | None) -> str:
            return "off the screen" if where is None else f"({where[0]:.0f}, {where[1]:.0f})"

        marks = (f"{m.name} at {place(m.true)}, predicted {place(m.predicted)}" for m in self.marks)
        return f"Frame {self.row}: {'; '.join(marks) or 'no object on the screen'}."


def drawable(game: str, predictions: Predictions) -> list[Landmark]:
    """List the objects that can be drawn.

    Args:
        game: canonical name.
        predictions: predictions of a run.

    Returns:
        The objects whose place is known and whose variables are all probed.
    """
    known = set(predictions.variables)
    return [landmark for landmark in landmarks(game) if known.issuperset(landmark.variables)]


def draw_marks(game: str, predictions: Predictions, protocol: str) -> list[Picture]:
    """Place the objects in the frames that a run has kept.

    Args:
        game: canonical name.
        predictions: predictions of the run.
        protocol: the protocol of the predictions.

    Returns:
        A picture for every kept frame; none if no object's place is known.
    """
    objects = drawable(game, predictions)
    if not objects:
        return []
    shown = predictions.shown
    true = _by_name(predictions, predictions.labels[shown])
    predicted = _by_name(predictions, predictions.predicted[protocol][shown])
    places = [(thing, thing.middle(true), thing.middle(predicted)) for thing in objects]
    pictures = []
    for k, position in enumerate(shown):
        marks = tuple(
            Mark(thing.name.replace("_", " "), thing.size, _point(here[k]), _point(there[k]))
            for thing, here, there in places
            if np.isfinite(here[k]).all() or np.isfinite(there[k]).all()
        )
        pictures.append(Picture(int(predictions.rows[position]), k, marks))
    return pictures


def data_uri(frame: NDArray[np.uint8]) -> str:
    """Encode a frame so that a page can contain it.

    Args:
        frame: uint8 [210, 160], or [3, 210, 160] in colour.

    Returns:
        A ``data:`` address of a PNG.
    """
    png = BytesIO()
    pixels = frame if frame.ndim == 2 else np.moveaxis(frame, 0, -1)
    Image.fromarray(pixels).save(png, "PNG", optimize=True)
    return f"data:image/png;base64,{b64encode(png.getvalue()).decode()}"


def _by_name(
    predictions: Predictions, values: NDArray[np.uint8]
) -> Mapping[str, NDArray[np.uint8]]:
    return dict(zip(predictions.variables, values.T, strict=True))


def _point(place: NDArray[np.float64]) -> tuple[float, float] | None:
    x, y = place.tolist()
    return None if np.isnan(x) else (x, y)
