"""Matplotlib figures as inline SVG, with the colours and fonts of the page."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from io import StringIO
from typing import Any

from markupsafe import Markup
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

DPI = 72  # Matplotlib's SVG has a unit of a point: sizes below are the page's pixels
INK = "#010203"  # becomes the page's text colour, light or dark
BLUE, ORANGE, GREY = "#2b7bba", "#d9730d", "#8a8a8a"
"""A pair that the colour-blind tell apart, on white and on black."""

UNNEEDED = (
    r"<style.*?</style>\s*",  # would hold for the whole page
    r' id="[A-Za-z0-9.]+_\d+"',  # figure_1, patch_2: not referred to, and in every figure
    r" font-family: [^;]*;",  # the page's own
    r' transform="rotate\(-0 [^)]*\)"',
)

STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",  # text stays text: small, sharp, found by a search
    "font.size": 10,
    "text.color": INK,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.labelsize": 9,
    "ytick.labelsize": 9,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "text.parse_math": False,  # names of methods are no formulas
}


@contextmanager
def panel(
    width: float, height: float, *, margins: tuple[float, float, float, float], rows: int = 1
) -> Iterator[tuple[Figure, list[Axes]]]:
    """Make a figure with axes one above the other.

    Args:
        width: width of the figure, in pixels of the page.
        height: height of the figure, in the same pixels.
        margins: margins around the axes, in pixels: left, right, top, bottom.
        rows: number of axes.

    Yields:
        The figure and its axes, while the style holds.
    """
    left, right, top, bottom = margins
    with rc_context(STYLE):
        figure = Figure((width / DPI, height / DPI), dpi=DPI)
        figure.patch.set_alpha(0)
        axes = figure.subplots(rows, 1, squeeze=False, sharex=True).ravel().tolist()
        for one in axes:
            one.patch.set_alpha(0)
        figure.subplots_adjust(
            left / width, bottom / height, 1 - right / width, 1 - top / height, hspace=0.35
        )
        yield figure, axes


def inline(figure: Figure, *, alt: str) -> Markup:
    """Write a figure as an element of a page.

    Args:
        figure: made by :func:`panel`, and still within its style.
        alt: what the figure shows, for those who cannot see it.

    Returns:
        An ``<svg>`` element without names that could occur twice in a page.
    """
    text = StringIO()
    FigureCanvasSVG(figure)
    with rc_context({"svg.hashsalt": alt}):  # names that no other figure of the page has
        figure.savefig(
            text, format="svg", metadata=dict.fromkeys(("Date", "Creator", "Format", "Type"))
        )
    # Of the element's head nothing is needed but its name: the page says how large it is.
    svg = re.sub(r"^.*?<svg.*?>", "", text.getvalue(), flags=re.DOTALL)
    for unneeded in UNNEEDED:
        svg = re.sub(unneeded, "", svg, flags=re.DOTALL)
    svg = re.sub(r"<[^>]*>", lambda tag: _rounded(tag[0]), svg)  # what is between tags is text
    svg = re.sub(r"\s*\n\s*", "\n", svg).replace(INK, "currentColor")
    width, height = figure.get_size_inches() * DPI
    head = Markup('<svg role="img" aria-label="{0}" width="{1:.0f}" viewBox="0 0 {1:.0f} {2:.0f}">')
    return head.format(alt, width, height) + Markup(svg)


def _rounded(tag: str) -> str:
    """Round coordinates to hundredths of a pixel."""
    return re.sub(r"\d+\.\d{3,}", lambda number: f"{float(number[0]):.2f}", tag)
