"""True against predicted values of one variable, as a two-dimensional histogram."""

from __future__ import annotations

import numpy as np
from markupsafe import Markup
from matplotlib.colors import to_rgb
from numpy.typing import NDArray

from lightning_stdim.report.output.plots.svg import BLUE, GREY, inline, panel
from lightning_stdim.utils.counted import counted

SIZE = 150
BINS = 48  # at most; narrower ones would be finer than the picture


def draw_agreement(labels: NDArray[np.uint8], predicted: NDArray[np.uint8], *, what: str) -> Markup:
    """Draw how often each true value was predicted as each value.

    Args:
        labels: uint8 [n], the true values.
        predicted: uint8 [n], the predicted values.
        what: what the values are of, for the description.

    Returns:
        Inline SVG: true values to the right, predicted ones upwards, darker where there are more
        frames (by the logarithm of their number).
    """
    low = int(min(labels.min(), predicted.min()))
    high = int(max(labels.max(), predicted.max()))
    width = -(-(high - low + 1) // BINS)
    edges = np.arange(low, high + width + 1, width) - 0.5
    counts = np.histogram2d(predicted, labels, (edges, edges))[0]
    picture = np.empty((*counts.shape, 4))
    picture[..., :3] = to_rgb(BLUE)
    # Opacity, so that the page's own ground, light or dark, stands for no frames.
    picture[..., 3] = np.where(counts, 0.15 + 0.85 * np.log1p(counts) / np.log1p(counts.max()), 0)
    with panel(SIZE + 8, SIZE, margins=(40, 6, 4, 32)) as (figure, (axes,)):
        extent = (edges[0], edges[-1], edges[0], edges[-1])
        axes.plot(extent[:2], extent[2:], color=GREY, linewidth=0.7)
        axes.imshow(
            picture, origin="lower", extent=extent, interpolation="none", aspect="equal", zorder=2
        )
        axes.set_xlabel("true", labelpad=1)
        axes.set_ylabel("predicted", labelpad=1)
        axes.locator_params(integer=True, nbins=3)
        right = (labels == predicted).mean()
        return inline(
            figure,
            alt=f"{what}: predicted against true values of {counted(len(labels), 'frame')}; "
            f"{right:.0%} are equal.",
        )
