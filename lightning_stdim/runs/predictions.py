"""``predictions.npz``: what a run's probes predict for the test split, to be drawn."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from lightning_stdim.datamodules.labels.screen_positions import landmarks
from lightning_stdim.errors import StoreError
from lightning_stdim.utils.files import atomically

if TYPE_CHECKING:
    from torch import Tensor

    from lightning_stdim.datamodules.batches import ProbeData

FILE = "predictions.npz"
SHOWN = 8
"""Number of frames that are kept as pictures."""
VALUES = 300_000
"""Number of labels and predictions that are kept, a byte each: for a larger split, those for evenly
spaced frames."""


@dataclass(frozen=True)
class Predictions:
    """Labels and predictions for frames of the test split.

    Attributes:
        variables: names of the V variables, in column order.
        rows: int64 [n], the frames' positions in the collection, ascending.
        labels: uint8 [n, V], the true values.
        predicted: for each protocol uint8 [n, V], the predicted values.
        shown: int64 [k], positions in `rows` of the frames that are kept as pictures.
        frames: uint8 [k, 210, 160], or [k, 3, 210, 160] in colour, the pictures.
    """

    variables: tuple[str, ...]
    rows: NDArray[np.int64]
    labels: NDArray[np.uint8]
    predicted: dict[str, NDArray[np.uint8]]
    shown: NDArray[np.int64]
    frames: NDArray[np.uint8]

    @classmethod
    def of(cls, data: ProbeData, predicted: Mapping[str, Tensor]) -> Self:
        """Select what fits in a small file.

        Args:
            data: the frames that were probed.
            predicted: for each protocol the labels predicted for the test split, int64 [n, V], on
                the CPU, such as an ``Evaluation`` holds.

        Returns:
            Labels and predictions for all test frames, or for evenly spaced ones if there are many;
            and of these frames up to :data:`SHOWN` as pictures, with many objects in sight.
        """
        test = data.splits["test"]
        most = max(SHOWN, VALUES // (len(data.variables) * (1 + len(predicted))))
        kept = np.unique(np.linspace(0, len(test) - 1, min(most, len(test))).astype(np.int64))
        rows = test.numpy()[kept]
        labels = data.labels[rows].numpy().astype(np.uint8)
        shown = _worth_showing(data.game, dict(zip(data.variables, labels.T, strict=True)))
        return cls(
            variables=data.variables,
            rows=rows,
            labels=labels,
            predicted={
                name: values.numpy()[kept].astype(np.uint8) for name, values in predicted.items()
            },
            shown=shown,
            frames=data.frames[test[kept[shown]]].numpy(),
        )

    def write(self, folder: Path) -> Path:
        """Write the file atomically.

        Args:
            folder: the run's directory.

        Returns:
            The file's path.

        Raises:
            StoreError: it cannot be written.
        """
        path = folder / FILE
        arrays: dict[str, Any] = {
            "variables": np.array(self.variables, dtype=np.str_),
            "rows": self.rows,
            "labels": self.labels,
            "shown": self.shown,
            "frames": self.frames,
            **{f"predicted/{name}": values for name, values in self.predicted.items()},
        }
        with atomically(path) as temporary, temporary.open("wb") as file:
            np.savez_compressed(file, **arrays)
        return path

    @classmethod
    def read(cls, folder: Path) -> Self | None:
        """Read the file.

        Args:
            folder: a run's directory.

        Returns:
            Its content; None if there is none, as in runs from before it was written.

        Raises:
            StoreError: the file is damaged.
        """
        path = folder / FILE
        if not path.is_file():
            return None
        try:
            with np.load(path, allow_pickle=False) as arrays:
                return cls(
                    variables=tuple(arrays["variables"].tolist()),
                    rows=arrays["rows"],
                    labels=arrays["labels"],
                    predicted={
                        name.removeprefix("predicted/"): arrays[name]
                        for name in arrays.files
                        if name.startswith("predicted/")
                    },
                    shown=arrays["shown"],
                    frames=arrays["frames"],
                )
        except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
            raise StoreError(
                f"cannot read {path}: {error}; remove it, and the report goes without its pictures"
            ) from error


def _worth_showing(game: str, labels: Mapping[str, NDArray[np.uint8]]) -> NDArray[np.int64]:
    """Choose one frame from each part of the split: the first one with the most objects in it."""
    n = len(next(iter(labels.values())))
    objects = np.zeros(n, np.int64)
    for landmark in landmarks(game):
        if labels.keys() >= set(landmark.variables):
            objects += ~np.isnan(landmark.middle(labels)[:, 0])
    parts = np.array_split(np.arange(n), min(SHOWN, n))
    return np.array([part[objects[part].argmax()] for part in parts])
