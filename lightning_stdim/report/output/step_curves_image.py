"""F1 against optimiser steps as a picture."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from io import BytesIO
from itertools import groupby
from math import ceil, log10
from typing import Any

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from lightning_stdim.report.names import PROTOCOLS, game_title
from lightning_stdim.report.tables.step_curves import BySeed, StepCurve, mean, values

INK, GREY = "#1a1a1a", "#8a8a8a"
COLOURS = ("#2b7bba", "#d9730d", "#3a923a", "#8b5cb3", "#b5373c", "#7a5c3e")
"""The first two are the page's, which the colour-blind tell apart."""
OF_PROTOCOL = {"converged": COLOURS[0], "paper": COLOURS[1]}
COLUMNS = 3
WIDTH, HEIGHT = 3.7, 2.9  # of a panel, in inches
LABELS = 8  # at most, on the axis of the steps
STYLE: dict[Any, Any] = {
    "font.size": 9,
    "axes.edgecolor": INK,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "text.parse_math": False,  # names of methods are no formulas
}

Panel = tuple[str, list[tuple[str, StepCurve]]]
"""A title, and the panel's curves with their names in the legend."""


def png(curves: Sequence[StepCurve], *, dpi: int = 160) -> bytes:
    """Draw the mean F1 over categories against the number of optimiser steps.

    With one method, there is a panel for every game, with a colour for every protocol. With several
    there is a column for every game and a row for every protocol, with a colour for every method.
    A seed is a thin line, their mean a thick one with Student's 95 % interval, at the steps that
    all of them have. The untrained encoder is a dashed line, and the kept encoder a star.

    Args:
        curves: the curves, at least one, in the order of the tables.
        dpi: pixels per inch.

    Returns:
        A PNG file's content.
    """
    entries = list(dict.fromkeys(curve.entry for curve in curves))
    protocols = list(dict.fromkeys(curve.protocol for curve in curves))
    games = list(dict.fromkeys(curve.game for curve in curves))
    panels: list[Panel]
    if len(entries) == 1:
        panels = [
            (game_title(game), [(_protocol(curve.protocol), curve) for curve in found])
            for game, found in groupby(curves, lambda curve: curve.game)
        ]
        names = [_protocol(protocol) for protocol in protocols]
        spare = [colour for colour in COLOURS if colour not in OF_PROTOCOL.values()]
        chosen = [OF_PROTOCOL.get(protocol) or spare.pop(0) for protocol in protocols]
        columns = min(COLUMNS, len(panels))
    else:
        panels = [
            (
                f"{game_title(game)}, {_protocol(protocol)}",
                [
                    (curve.entry.title, curve)
                    for curve in curves
                    if (curve.game, curve.protocol) == (game, protocol)
                ],
            )
            for protocol in protocols
            for game in games
        ]
        names = [entry.title for entry in entries]
        chosen = [COLOURS[k % len(COLOURS)] for k in range(len(names))]
        columns = len(games)
    colours = dict(zip(names, chosen, strict=True))
    rows = ceil(len(panels) / columns)
    with rc_context(STYLE):
        figure = Figure((WIDTH * columns, HEIGHT * rows + 0.5), layout="constrained")
        FigureCanvasAgg(figure)
        grid = figure.subplots(
            rows, columns, squeeze=False, sharey="row" if len(entries) > 1 else True
        )
        for axes, (title, found) in zip(grid.ravel(), panels, strict=False):
            if found:
                _draw(axes, title, found, colours)
            else:  # no run of this game has this protocol
                axes.set_axis_off()
        for axes in grid.ravel()[len(panels) :]:
            axes.remove()
        for axes in grid[:, 0]:
            axes.set_ylabel(f"F1, {curves[0].headline.label.lower()}")
        figure.legend(
            handles=list(_legend(curves, colours)),
            loc="outside lower center",
            ncols=min(4, 2 * columns),
            frameon=False,
        )
        if len(entries) == 1:
            figure.suptitle(entries[0].title, fontsize=11)
        out = BytesIO()
        figure.savefig(out, format="png", dpi=dpi, metadata={"Software": None})
    return out.getvalue()


def _protocol(name: str) -> str:
    return f"protocol {PROTOCOLS.get(name, name)}"


def _draw(
    axes: Axes, title: str, found: Sequence[tuple[str, StepCurve]], colours: dict[str, str]
) -> None:
    """Draw one panel."""
    untrained = [list(values(curve.untrained, curve.headline).values()) for _, curve in found]
    # Methods with the same architecture start from the same encoders: one line is all of theirs.
    one_line = len(found) > 1 and all(one == untrained[0] for one in untrained)
    for place, (name, curve) in enumerate(found):
        row, colour = curve.headline, colours[name]
        if before := mean(curve.untrained, row):
            axes.axhline(
                before.mean,
                color=GREY if one_line else colour,
                linewidth=1.1,
                linestyle=(0, (4, 2)),
                zorder=1,
            )
        for seed in curve.seeds:
            points = {
                step: values(scores, row)[seed]
                for step, scores in curve.snapshots.items()
                if seed in values(scores, row)
            }
            alone = len(curve.seeds) == 1
            axes.plot(
                list(points),
                list(points.values()),
                color=colour,
                linewidth=1.8 if alone else 0.8,
                alpha=1 if alone else 0.45,
                marker="o" if alone else None,
                markersize=3.5,
            )
        if len(curve.seeds) > 1:
            _draw_mean(axes, curve, colour, shift=1.025 ** (place - (len(found) - 1) / 2))
        kept = values(curve.kept, row)
        axes.plot(
            [curve.kept_steps[seed] for seed in kept],
            list(kept.values()),
            marker="*",
            markersize=9,
            markeredgecolor="white",
            markeredgewidth=0.6,
            linestyle="none",
            color=colour,
            zorder=4,
        )
    axes.set_title(title, fontsize=10)
    axes.set_xlabel("optimiser steps")
    _label_steps(axes, sorted({step for _, curve in found for step in curve.snapshots}))
    axes.grid(color=GREY, alpha=0.25, linewidth=0.5)


def _draw_mean(axes: Axes, curve: StepCurve, colour: str, *, shift: float) -> None:
    """Draw the mean over seeds where all of them have a snapshot, with its intervals.

    Intervals are shifted by a factor of the steps, so that those of two curves do not overlap.
    """
    shared = {step: one for step, one in curve.snapshots.items() if _complete(one, curve)}
    found = {step: mean(scores, curve.headline) for step, scores in shared.items()}
    there = {step: one for step, one in found.items() if one is not None}
    means = [one.mean for one in there.values()]
    axes.plot(list(there), means, color=colour, linewidth=1.8, marker="o", markersize=3.5, zorder=3)
    for step, one in there.items():
        if one.half_width is not None:  # F1 lies between 0 and 1, and so does what is drawn
            ends = [max(0.0, one.mean - one.half_width), min(1.0, one.mean + one.half_width)]
            axes.plot([step * shift] * 2, ends, color=colour, linewidth=1.1, zorder=2)


def _complete(scores: BySeed, curve: StepCurve) -> bool:
    return scores.keys() == curve.untrained.keys()


def _label_steps(axes: Axes, steps: Sequence[int]) -> None:
    """Label as many of the snapshots on a logarithmic axis as there is room for."""
    axes.set_xscale("log")
    least = log10(steps[-1] / steps[0]) / LABELS
    shown: list[int] = []
    for step in steps:
        if not shown or log10(step / shown[-1]) >= least:
            shown.append(step)
    axes.set_xticks(shown, [_short(step) for step in shown])
    axes.minorticks_off()


def _short(step: int) -> str:
    return f"{step / 1000:g}k" if step >= 1000 else str(step)


def _legend(curves: Sequence[StepCurve], colours: dict[str, str]) -> Iterator[Line2D]:
    """Explain colours and lines, each once."""
    for name, colour in colours.items():
        yield Line2D([], [], color=colour, linewidth=1.8, marker="o", markersize=3.5, label=name)
    yield Line2D(
        [], [], color=GREY, linewidth=1.1, linestyle=(0, (4, 2)), label="untrained encoder"
    )
    if any(len(curve.seeds) > 1 for curve in curves):
        yield Line2D([], [], color=GREY, linewidth=0.8, alpha=0.6, label="one seed")
        yield Line2D(
            [], [], color=GREY, marker="|", markersize=9, linestyle="none", label="95 % interval"
        )
    if any(curve.kept for curve in curves):
        yield Line2D(
            [], [], color=GREY, marker="*", markersize=8, linestyle="none", label="kept encoder"
        )
