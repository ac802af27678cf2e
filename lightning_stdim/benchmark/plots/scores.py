"""F1 of one variable by all methods: a dot plot with intervals and controls."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from markupsafe import Markup

from lightning_stdim.benchmark.plots.svg import BLUE, GREY, INK, ORANGE, inline, panel
from lightning_stdim.benchmark.tables import Cell

WIDTH, LABELS, LINE = 330, 118, 15

MARKS: dict[str, dict[str, Any]] = {
    "converged": {"marker": "o", "color": BLUE},
    "paper": {"marker": "o", "color": ORANGE, "markerfacecolor": "none"},
    "supervised": {"marker": "D", "color": INK, "markersize": 4},
}
"""How a protocol's scores are drawn; shape and filling tell them apart without the colour."""


@dataclass(frozen=True)
class Scores:
    """One method's line.

    Attributes:
        title: the method's display name.
        cells: for each protocol the score.
        shuffled: the score of a probe that was trained on shuffled labels; None if not known.
    """

    title: str
    cells: dict[str, Cell] = field(default_factory=dict)
    shuffled: float | None = None


def draw_scores(
    lines: Sequence[Scores], *, majority: float | None, what: str, metric: str = "F1"
) -> Markup:
    """Draw the scores of one variable, or of one mean.

    Args:
        lines: the methods from top to bottom, at least one.
        majority: score of the most frequent label, drawn as a line; None if not known.
        what: whose scores, for the description.
        metric: the name of the horizontal axis, 0 to 1.

    Returns:
        Inline SVG.
    """
    height = LINE * len(lines) + 40
    with panel(WIDTH, height, margins=(LABELS, 10, 4, 36)) as (figure, (axes,)):
        if majority is not None:
            axes.axvline(majority, color=GREY, linewidth=1, linestyle=(0, (4, 2)))
        for y, line in enumerate(lines):
            shown = [name for name in MARKS if name in line.cells]
            for k, name in enumerate(shown):
                # Two protocols of one method stand one over the other, never on one another.
                place = y + (0.36 * (k - (len(shown) - 1) / 2) if len(shown) > 1 else 0)
                cell = line.cells[name]
                style: dict[str, Any] = {"markersize": 5, "markeredgewidth": 1.1, **MARKS[name]}
                if cell.half_width is not None:
                    ends = cell.value - cell.half_width, cell.value + cell.half_width
                    axes.plot(ends, (place, place), color=style["color"], linewidth=1.2)
                axes.plot(cell.value, place, linestyle="none", clip_on=False, **style)
            if line.shuffled is not None:
                axes.plot(line.shuffled, y, marker="x", color=GREY, markersize=4, linestyle="none")
        axes.set_xlim(0, 1)
        axes.set_ylim(len(lines) - 0.4, -0.6)
        axes.set_yticks(range(len(lines)), [line.title for line in lines])
        axes.tick_params(axis="y", length=0)
        axes.set_xticks((0, 0.25, 0.5, 0.75, 1), ("0", "0.25", "0.5", "0.75", "1"))
        axes.grid(axis="x", color=GREY, alpha=0.25, linewidth=0.5)
        axes.spines["left"].set_visible(False)
        axes.set_xlabel(metric, labelpad=2)
        leading = max(
            ((cell.value, line.title) for line in lines for cell in line.cells.values()),
            default=None,
        )
        best = f"; the highest is {leading[0]:.2f}, of {leading[1]}" if leading else ""
        return inline(figure, alt=f"{what}: {metric} of {len(lines)} methods{best}.")
