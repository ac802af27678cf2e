"""Learning curves: reading what a run logged, and drawing it."""

from __future__ import annotations

import csv
import math
from collections import defaultdict
from pathlib import Path

from lightning_stdim.utils.files import atomically

Curves = dict[str, dict[str, list[tuple[int, float]]]]
"""Points (epoch, value) by quantity, such as ``loss``, and in it by stage, such as ``train``."""

COLUMNS = 3


def read_curves(metrics: Path) -> Curves:
    """Read the values that a run logged once an epoch.

    Args:
        metrics: a run's ``metrics.csv``. Columns named ``stage/quantity`` are read, others are not.

    Returns:
        The curves: the loss first, then the others by name.
    """
    curves: Curves = defaultdict(lambda: defaultdict(list))
    with metrics.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            for name, value in row.items():
                stage, slash, quantity = name.partition("/")
                if slash and "/" not in quantity and value and row.get("epoch"):
                    curves[quantity][stage].append((int(row["epoch"]) + 1, float(value)))
    order = sorted(curves, key=lambda quantity: (quantity != "loss", quantity))
    return {quantity: dict(curves[quantity]) for quantity in order}


def draw_curves(metrics: Path, picture: Path) -> None:
    """Draw a panel for every quantity over the epochs; write nothing if none was logged.

    Args:
        metrics: a run's ``metrics.csv``.
        picture: the PNG to write.

    Raises:
        StoreError: it cannot be written.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    curves = read_curves(metrics)
    if not curves:
        return
    rows, columns = math.ceil(len(curves) / COLUMNS), min(COLUMNS, len(curves))
    figure = Figure(figsize=(4 * columns, 2.8 * rows), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes, (quantity, stages) in zip(panels, curves.items(), strict=False):
        for stage, points in stages.items():
            axes.plot(*zip(*points, strict=True), marker=".", label=stage)
        axes.set_title(quantity.replace("_", " "))
        axes.set_xlabel("epoch")
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(alpha=0.3)
        axes.legend()
    for axes in panels[len(curves) :]:
        axes.remove()
    with atomically(picture) as temporary:
        figure.savefig(temporary, format="png", dpi=120)
