"""F1 of one variable by all methods: a dot plot with intervals and controls."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from markupsafe import Markup

from lightning_stdim.report.output.plots.svg import BLUE, GREY, INK, ORANGE, inline, panel
from lightning_stdim.report.tables.comparison import ScoreCell

WIDTH, LABELS, LINE = 330, 118, 15

MARKS: dict[str, dict[str, Any]] = {
    "converged": {"marker": "o", "color": BLUE},
    "paper": {"marker": "o", "color": ORANGE, "markerfacecolor": "none"},
    "supervised": {"marker": "D", "color": INK, "markersize": 4},
    "challenge": {"marker": "s", "color": INK, "markerfacecolor": "none", "markersize": 4},
}
"""How each protocol's scores are drawn; shape and filling tell them apart without colour."""

MARK: dict[str, Any] = {"markersize": 5, "markeredgewidth": 1.1}
MAJORITY: dict[str, Any] = {"color": GREY, "linewidth": 1, "linestyle": (0, (4, 2))}
SHUFFLED: dict[str, Any] = {"marker": "x", "color": GREY, "markersize": 4, "linestyle": "none"}


@dataclass(frozen=True)
class DotPlotRow:
    """One method's line.

    Attributes:
        title: the method's display name.
        cells: for each protocol the score.
        shuffled: the score of a probe that was trained on shuffled labels; None if not known.
        majority: the score of the most frequent label on the same frames; None if not known.
    """

    title: str
    cells: dict[str, ScoreCell] = field(default_factory=dict)
    shuffled: float | None = None
    majority: float | None = None


def draw_scores(lines: Sequence[DotPlotRow], *, what: str) -> Markup:
    """Draw the F1 of one variable, or of one mean.

    Args:
        lines: the methods from top to bottom, at least one.
        what: what the scores are of, for the description.

    Returns:
        Inline SVG.
    """
    height = LINE * len(lines) + 40
    with panel(WIDTH, height, margins=(LABELS, 10, 4, 36)) as (figure, (axes,)):
        for y, line in enumerate(lines):
            if line.majority is not None:  # its own: methods may have been run with other seeds
                axes.plot([line.majority] * 2, [y - 0.5, y + 0.5], **MAJORITY)
        for name, style in MARKS.items():
            drawn = [
                (line.cells[name], y + _offset(line, name))
                for y, line in enumerate(lines)
                if name in line.cells
            ]
            if not drawn:
                continue
            # All of a protocol's intervals are one path, and its marks one line: less to write.
            ends: list[float] = []
            heights: list[float] = []
            for cell, place in drawn:
                if cell.half_width is not None:
                    ends += [cell.value - cell.half_width, cell.value + cell.half_width, math.nan]
                    heights += [place] * 3
            axes.plot(ends, heights, color=style["color"], linewidth=1.2)
            values = [cell.value for cell, _ in drawn]
            places = [place for _, place in drawn]
            axes.plot(values, places, linestyle="none", clip_on=False, **{**MARK, **style})
        shuffled = [(line.shuffled, y) for y, line in enumerate(lines) if line.shuffled is not None]
        if shuffled:
            axes.plot(*zip(*shuffled, strict=True), **SHUFFLED)
        axes.set_xlim(0, 1)
        axes.set_ylim(len(lines) - 0.4, -0.6)
        axes.set_yticks(range(len(lines)), [line.title for line in lines])
        axes.tick_params(axis="y", length=0)
        axes.set_xticks((0, 0.25, 0.5, 0.75, 1), ("0", "0.25", "0.5", "0.75", "1"))
        axes.grid(axis="x", color=GREY, alpha=0.25, linewidth=0.5)
        axes.spines["left"].set_visible(False)
        axes.set_xlabel("F1", labelpad=2)
        leading = max(
            ((cell.value, line.title) for line in lines for cell in line.cells.values()),
            default=None,
        )
        best = f"; the highest is {leading[0]:.2f}, of {leading[1]}" if leading else ""
        return inline(figure, alt=f"{what}: F1 of {len(lines)} methods{best}.")


def _offset(line: DotPlotRow, name: str) -> float:
    """Set the protocols of one method one below the other, so that none hides another."""
    shown = [known for known in MARKS if known in line.cells]
    step = min(0.36, 1.08 / len(shown))
    return step * (shown.index(name) - (len(shown) - 1) / 2)
