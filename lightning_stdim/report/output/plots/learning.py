"""Learning curves of one method with all its seeds: the loss, and below it what else was logged."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from markupsafe import Markup

from lightning_stdim.report.output.plots.svg import BLUE, GREY, ORANGE, inline, panel
from lightning_stdim.runs.curves import Curves
from lightning_stdim.utils.counted import counted

WIDTH, ROW = 230, 74

QUANTITIES = {
    "loss": ("loss", ("train", "val")),
    "effective_rank": ("effective rank", ("health",)),
    "dead_units": ("dead units", ("health",)),
    "f1": ("F1, validation", ("probe", "val")),
}
"""The quantities that are drawn, if they were logged and varied: label and stages of each."""

LINES: dict[str, dict[str, Any]] = {
    "train": {"color": ORANGE, "linestyle": (0, (3, 1.5))},
    "val": {"color": BLUE},
    "health": {"color": BLUE},
    "probe": {"color": BLUE},
}


def draw_learning(runs: Sequence[Curves], *, what: str) -> Markup | None:
    """Draw what the runs of one method logged over the epochs.

    Args:
        runs: the curves of every seed.
        what: what the curves are of, for the description.

    Returns:
        Inline SVG; None if none of the quantities varied.
    """
    rows = [
        (name, label, stages)
        for name, (label, stages) in QUANTITIES.items()
        if len({y for run in runs for stage in stages for _, y in run.get(name, {}).get(stage, ())})
        > 1
    ]
    if not rows:
        return None
    height = ROW * len(rows) + 34
    margins = (42, 8, 16, 32)
    with panel(WIDTH, height, margins=margins, rows=len(rows)) as (figure, panels):
        for axes, (name, label, stages) in zip(panels, rows, strict=True):
            for run in runs:
                for stage in stages:
                    points = run.get(name, {}).get(stage, [])
                    if points:
                        dot = "o" if len(points) == 1 else None  # through which there is no line
                        style = {**LINES[stage], "marker": dot, "markersize": 4, "linewidth": 1}
                        axes.plot(*zip(*points, strict=True), clip_on=not dot, **style)
            axes.set_title(label, loc="left", fontsize=9, pad=3)
            axes.locator_params(axis="y", nbins=3)
            axes.margins(x=0.02)
            axes.grid(color=GREY, alpha=0.25, linewidth=0.5)
        panels[-1].set_xlabel("epoch", labelpad=1)
        low, high = panels[-1].get_xlim()
        if high - low < 1:  # a single epoch
            panels[-1].set_xlim(low - 0.5, high + 0.5)
        panels[-1].locator_params(axis="x", integer=True, nbins=5, min_n_ticks=1)
        drawn = ", ".join(label for _, label, _ in rows)
        return inline(
            figure, alt=f"{what}: {drawn} over the epochs of {counted(len(runs), 'run')}."
        )
