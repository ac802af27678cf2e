"""F1 against optimiser steps, written to files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lightning_stdim.report.output import step_curves_image, step_curves_text
from lightning_stdim.report.tables.step_curves import StepCurve
from lightning_stdim.utils.files import atomically

NAME = "curve"


def write_step_curves(folder: Path, curves: Sequence[StepCurve]) -> list[Path]:
    """Write curves as tables, as a picture, and for other programs.

    Args:
        folder: the folder of ``curve.md``, ``curve.png``, ``curve.csv`` and ``curve.json``; it is
            made if it is missing.
        curves: the curves, at least one.

    Returns:
        The files written.

    Raises:
        StoreError: a file cannot be written.
    """
    contents = {
        "md": step_curves_text.markdown(curves, f"{NAME}.png").encode(),
        "png": step_curves_image.png(curves),
        "csv": step_curves_text.tidy_csv(curves).encode(),
        "json": step_curves_text.as_json(curves).encode(),
    }
    written = []
    for suffix, content in contents.items():
        path = folder / f"{NAME}.{suffix}"
        with atomically(path) as temporary:
            temporary.write_bytes(content)
        written.append(path)
    return written
