"""F1 of one variable by all methods: a dot plot with intervals and controls."""

from __future__ import annotations

import math
import re
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any

from markupsafe import Markup

from lightning_stdim.report.output.plots.svg import BLUE, GREY, INK, ORANGE, inline, panel
from lightning_stdim.report.tables.comparison import ScoreCell
from lightning_stdim.utils.counted import counted

WIDTH, LABELS, LINE = 330, 118, 15
CHARACTERS = 21
"""Number of characters for which there is room in a line of a label."""

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
    labels = [_folded(line.title) for line in lines]
    # Where the lines of the plot are, in units of LINE: long labels take more room than one.
    heights = [max(1.0, 0.72 * len(label)) for label in labels]
    middles = [end - height / 2 for end, height in zip(accumulate(heights), heights, strict=True)]
    height = LINE * sum(heights) + 40
    with panel(WIDTH, height, margins=(LABELS, 10, 4, 36)) as (figure, (axes,)):
        for y, line in zip(middles, lines, strict=True):
            if line.majority is not None:  # its own: methods may have been run with other seeds
                axes.plot([line.majority] * 2, [y - 0.5, y + 0.5], **MAJORITY)
        for name, style in MARKS.items():
            drawn = [
                (line.cells[name], y + _offset(line, name))
                for y, line in zip(middles, lines, strict=True)
                if name in line.cells
            ]
            if not drawn:
                continue
            # All of a protocol's intervals are one path, and its marks one line: less to write.
            ends: list[float] = []
            places: list[float] = []
            for cell, place in drawn:
                if cell.half_width is not None:
                    ends += [cell.value - cell.half_width, cell.value + cell.half_width, math.nan]
                    places += [place] * 3
            axes.plot(ends, places, color=style["color"], linewidth=1.2)
            values = [cell.value for cell, _ in drawn]
            axes.plot(
                values,
                [place for _, place in drawn],
                linestyle="none",
                clip_on=False,
                **{**MARK, **style},
            )
        shuffled = [
            (line.shuffled, y)
            for y, line in zip(middles, lines, strict=True)
            if line.shuffled is not None
        ]
        if shuffled:
            axes.plot(*zip(*shuffled, strict=True), **SHUFFLED)
        axes.set_xlim(0, 1)
        axes.set_ylim(sum(heights) + 0.1, -0.1)
        axes.set_yticks(middles, ["\n".join(label) for label in labels], linespacing=1)
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
        return inline(figure, alt=f"{what}: F1 of {counted(len(lines), 'method')}{best}.")


def _folded(title: str) -> list[str]:
    """Break a method's name into lines, where it can be at its punctuation."""
    lines = [""]
    for part in re.split(r"(?<=[ .,_=/-])", title):
        if lines[-1] and len(lines[-1]) + len(part.rstrip()) > CHARACTERS:
            lines.append("")
        lines[-1] += part
    return [piece for line in lines for piece in textwrap.wrap(line, CHARACTERS)]


def _offset(line: DotPlotRow, name: str) -> float:
    """Set the protocols of one method one below the other, so that none hides another."""
    shown = [known for known in MARKS if known in line.cells]
    step = min(0.36, 1.08 / len(shown))
    return step * (shown.index(name) - (len(shown) - 1) / 2)
