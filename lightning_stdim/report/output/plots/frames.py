"""F1 of one method against the number of frames that it was pretrained on."""

from __future__ import annotations

from collections.abc import Mapping

from markupsafe import Markup

from lightning_stdim.report.output.plots.scores import MARK, MARKS
from lightning_stdim.report.output.plots.svg import GREY, inline, panel
from lightning_stdim.report.tables.comparison import ScoreCell

WIDTH, HEIGHT = 230, 160


def draw_frames(scores: Mapping[str, Mapping[int, ScoreCell]], *, what: str) -> Markup:
    """Draw how a method's score depends on the number of frames.

    Args:
        scores: for each protocol, for each number of frames, the score.
        what: what the scores are of, for the description.

    Returns:
        Inline SVG.
    """
    with panel(WIDTH, HEIGHT, margins=(34, 8, 8, 36)) as (figure, (axes,)):
        for protocol, points in scores.items():
            frames = sorted(points)
            found = [points[count] for count in frames]
            style = {**MARK, **MARKS[protocol]}
            axes.plot(frames, [one.value for one in found], linewidth=1, clip_on=False, **style)
            for count, one in zip(frames, found, strict=True):
                if one.half_width is not None:
                    ends = [one.value - one.half_width, one.value + one.half_width]
                    axes.plot([count] * 2, ends, color=style["color"], linewidth=1.2)
        counts = sorted({count for points in scores.values() for count in points})
        axes.set_xscale("log")
        axes.set_xticks(counts, [f"{count / 1000:g}k" for count in counts])
        axes.minorticks_off()
        axes.set_ylim(0, 1)
        axes.grid(color=GREY, alpha=0.25, linewidth=0.5)
        axes.set_xlabel("frames pretrained on", labelpad=2)
        axes.set_ylabel("F1", labelpad=2)
        return inline(figure, alt=f"{what}: F1 against {len(counts)} numbers of frames.")
