"""The comparison tables as a picture, typeset like the tables of a paper."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from io import BytesIO
from itertools import groupby
from typing import Any

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from lightning_stdim.report.names import GROUPS_IN_WORDS
from lightning_stdim.report.output.text import budget_lines, number, shared_notes
from lightning_stdim.report.tables.comparison import ScoreCell, Table

# All lengths are inches: the axes' unit is one inch, so that text and lines keep their proportions.
LABEL, NARROW, WIDE, GAP = 2.0, 0.78, 0.92, 0.2
LINE = 0.215
MARGIN = 0.25
NOTE_CHARACTERS = 18  # to the inch, in the notes' size

INK, GREY = "#1a1a1a", "#6b6b6b"
TINT = (0.13, 0.44, 0.71)  # a cell's ground goes from white at 0 towards this at 1
STRENGTH = 0.42


def png(tables: Sequence[Table], *, dpi: int = 200) -> bytes:
    """Draw tables one under the other, wide ones in parts, with costs and notes below.

    Args:
        tables: comparisons of one game with the same columns, at least one.
        dpi: pixels per inch.

    Returns:
        A PNG file's content.
    """
    figure = Figure(facecolor="white")
    FigureCanvasAgg(figure)
    page = _Page(figure.add_axes((0, 0, 1, 1)))
    for parts in zip(*(table.parts() for table in tables), strict=True):
        page.edges = _columns(parts)
        for part in parts:
            page.table(part)
        page.budget(parts[0])
    for note in shared_notes(tables):
        page.note(note)

    # The page's height is known only now; its unit is one inch in both directions.
    width, height = page.width + 2 * MARGIN, page.y + 2 * MARGIN
    figure.set_size_inches(width, height)
    page.axes.set_xlim(-MARGIN, width - MARGIN)
    page.axes.set_ylim(height - MARGIN, -MARGIN)  # downwards, as one reads
    page.axes.set_axis_off()
    out = BytesIO()
    figure.savefig(out, format="png", dpi=dpi, metadata={"Software": None})
    return out.getvalue()


def _columns(tables: Sequence[Table]) -> list[tuple[float, float]]:
    """Place the columns: their left and right edges; wider where there are intervals."""
    edges = []
    right = LABEL
    for k, column in enumerate(tables[0].columns):
        cells = (line[k] for table in tables for line in table.cells)
        wide = any(cell is not None and cell.half_width is not None for cell in cells)
        left = right + (GAP if k and column.group != tables[0].columns[k - 1].group else 0)
        right = left + (WIDE if wide else NARROW)
        edges.append((left, right))
    return edges


class _Page:
    """A pen that moves down a page."""

    def __init__(self, axes: Axes) -> None:
        self.axes = axes
        self.edges: list[tuple[float, float]] = []
        self.width = self.y = 0.0

    def table(self, table: Table) -> None:
        """Draw one table: two levels of heading, then the rows by kind."""
        self.width = max(self.width, self.edges[-1][1])
        title = table.title[0].upper() + table.title[1:]
        self.text(0, title, size=10, weight="bold")
        self.y += 1.2 * LINE
        for group, columns in _runs([column.group for column in table.columns]):
            self.heading(columns, GROUPS_IN_WORDS[group], size=8.5, color=GREY, rule=True)
        self.y += 1.15 * LINE
        names = [(column.group, column.title) for column in table.columns]
        for (_, title), columns in _runs(names):
            self.heading(columns, title, size=7.5, weight="bold", rule=len(columns) > 1)
        self.y += LINE
        subtitles = [column.subtitle.split(", ") for column in table.columns]
        for k in range(max(map(len, subtitles))):
            self.y += 0.6 * LINE * bool(k)
            for (left, right), parts in zip(self.edges, subtitles, strict=True):
                if k < len(parts):
                    self.text((left + right) / 2, parts[k], size=7, color=GREY, ha="center")
        self.y += 0.7 * LINE
        self.rule(1.0)
        kind = table.rows[0].kind
        for row, cells in zip(table.rows, table.cells, strict=True):
            if row.kind != kind:
                self.rule(0.4)
                kind = row.kind
            weight = "bold" if row.kind == "mean" else "normal"
            family = "monospace" if row.kind == "variable" else "sans-serif"
            self.y += LINE / 2
            self.text(0, row.label, size=8, weight=weight, family=family)
            for place, cell in zip(self.edges, cells, strict=True):
                self.score(place, cell, weight)
            self.y += LINE / 2
        self.rule(1.0)
        self.y += 1.2 * LINE

    def score(self, place: tuple[float, float], cell: ScoreCell | None, weight: str) -> None:
        """Draw a number on its ground, its interval smaller beside it."""
        left, right = place
        middle = (left + right) / 2
        if cell is None:
            self.text(middle, number(cell), size=8, color=GREY, ha="center")
            return
        share = STRENGTH * min(max(cell.value, 0.0), 1.0)
        ground = tuple(1 - share * (1 - part) for part in TINT)
        box = (left + 0.02, self.y - LINE / 2 + 0.012)
        self.axes.add_patch(
            Rectangle(box, right - left - 0.04, LINE - 0.024, facecolor=ground, linewidth=0)
        )
        score, _, interval = number(cell).partition("±")
        style = "italic" if cell.derived else "normal"
        if interval:
            self.text(middle + 0.02, score, size=8, weight=weight, ha="right")
            self.text(middle + 0.05, f"±{interval}", size=6.5, color=GREY)
        else:
            self.text(middle, score, size=8, weight=weight, style=style, ha="center")

    def budget(self, table: Table) -> None:
        """Draw what every column cost, under the last table."""
        self.y -= 0.9 * LINE
        for name, values in budget_lines(table.columns):
            self.y += 0.85 * LINE
            self.text(0, name.capitalize(), size=7, color=GREY)
            for (left, right), value in zip(self.edges, values, strict=True):
                self.text((left + right) / 2, value, size=7, color=GREY, ha="center")
        self.y += 1.6 * LINE

    def note(self, text: str) -> None:
        """Draw a note, broken into lines."""
        for line in textwrap.wrap(text, int(self.width * NOTE_CHARACTERS)):
            self.text(0, line, size=7, color=GREY)
            self.y += 0.8 * LINE

    def heading(
        self, columns: Sequence[int], text: str, *, rule: bool = False, **style: Any
    ) -> None:
        """Draw a heading over columns, with a rule under it if it has several to hold together."""
        left, right = self.edges[columns[0]][0] + 0.06, self.edges[columns[-1]][1] - 0.06
        self.text((left + right) / 2, text, ha="center", **style)
        if rule:
            y = self.y + LINE / 2
            self.axes.plot([left, right], [y, y], color=GREY, linewidth=0.4)

    def rule(self, linewidth: float) -> None:
        """Draw a line across the page."""
        self.axes.plot([0, self.edges[-1][1]], [self.y, self.y], color=INK, linewidth=linewidth)

    def text(self, x: float, text: str, *, size: float, **style: Any) -> None:
        """Write at the pen's height."""
        style = {"color": INK, "ha": "left", "va": "center_baseline", **style}
        self.axes.text(x, self.y, text, fontsize=size, **style)


def _runs(values: Sequence[Any]) -> list[tuple[Any, list[int]]]:
    """Group equal neighbours: the value and their positions."""
    runs = groupby(range(len(values)), values.__getitem__)
    return [(value, list(positions)) for value, positions in runs]
