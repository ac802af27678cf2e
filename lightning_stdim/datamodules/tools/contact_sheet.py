"""The contact sheet: a page of frames with their labels beside them, to check labels by eye.

Labels are printed, not drawn into the frames: a position in RAM is not a position on the screen.
Its origin, its scale and even its direction differ from game to game and from object to object.
"""

from __future__ import annotations

from io import BytesIO
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from lightning_stdim.datamodules.labels.annotations import annotation, ram2label
from lightning_stdim.datamodules.labels.entropy_filter import ENTROPY_THRESHOLD, scored
from lightning_stdim.datamodules.labels.games import LabelSet, default_label_set
from lightning_stdim.datamodules.store.collection import Collection

# Everything is placed in the picture's pixels, so that frames are enlarged without blur.
DPI = 250
ZOOM = 2
HEIGHT, WIDTH = 210 * ZOOM, 160 * ZOOM
SIZE = 5.5  # of the text, in points
CHARACTER = 0.602 * SIZE / 72 * DPI  # width in DejaVu Sans Mono
LINE = 1.25 * SIZE / 72 * DPI
LABELS = int(HEIGHT / LINE) - 2  # a column of them, beside a frame and under its heading
HEADING = 26  # characters
GAP, MARGIN = 30, 75
PAGE = 2600  # greatest width between the margins
FRAMES, ROWS = 24, 7  # at most

INK, GREY = "#1a1a1a", "#8a8a8a"


def png(collection: Collection, *, name: str, label_set: LabelSet | None = None) -> bytes:
    """Draw frames from all over a collection, each with its step, episode and labels.

    Args:
        collection: a collection with its frames.
        name: the collection's name, for the heading.
        label_set: label set of the variables; by default the file's. Variables that the entropy
            filter drops are grey, and left out if they would need a second column.

    Returns:
        The content of a PNG file.

    Raises:
        ConfigurationError: the label set does not have the game.
    """
    game = str(collection.attributes["game"])
    label_set = label_set or collection.attributes.get("label_set") or default_label_set(game)
    variables = annotation(game, label_set).variables
    labels = ram2label(game, collection.ram, label_set)
    kept, _ = scored(labels, variables)
    shown = kept if kept and len(variables) > LABELS else list(range(len(variables)))

    parts = [shown[k : k + LABELS] for k in range(0, len(shown), LABELS)]
    widths = [max(len(variables[v]) for v in part) for part in parts]
    blocks = [(width + 8) * CHARACTER for width in widths]  # two spaces, three digits, three spaces
    cell = WIDTH + GAP + max(sum(blocks), HEADING * CHARACTER)
    columns = max(1, int(PAGE / cell))
    rows = pick(collection, min(FRAMES, columns * ROWS))

    top = MARGIN + 3.5 * LINE
    lines = -(-len(rows) // columns)
    page = _Page(2 * MARGIN + columns * cell, top + lines * (HEIGHT + GAP) - GAP + MARGIN)
    page.text(MARGIN, MARGIN, f"{name}, label set {label_set}", size=1.4 * SIZE, weight="bold")
    note = "Labels are bytes of the RAM of the state that a frame shows: positions are not pixels."
    if unscored := len(variables) - len(kept):
        how = "in grey" if len(shown) > len(kept) else "left out"
        note += f" Under {ENTROPY_THRESHOLD} nats, not scored and {how}: {unscored}."
    page.text(MARGIN, MARGIN + 1.7 * LINE, note, color=GREY)
    for k, row in enumerate(rows):
        x, y = MARGIN + k % columns * cell, top + k // columns * (HEIGHT + GAP)
        page.frame(x, y, collection.frames[row])
        x += WIDTH + GAP
        episode = np.searchsorted(collection.episode_start, row, side="right") - 1
        page.text(x, y, f"step {row}, episode {episode}", weight="bold")
        for part, width, block in zip(parts, widths, blocks, strict=True):
            for line, v in enumerate(part, start=2):
                text = f"{variables[v]:{width}}  {labels[row, v]:3}"
                page.text(x, y + line * LINE, text, color=INK if v in kept else GREY)
            x += block
    return page.png()


def pick(collection: Collection, n: int) -> NDArray[np.int64]:
    """Choose rows that are spread evenly over the episodes, and over the time within them.

    Args:
        collection: a collection; its frames are not used.
        n: number of rows, at least 1.

    Returns:
        int64, at most `n` different rows, ascending; fewer than `n` if episodes are few and short.
    """
    k = np.arange(n)
    episode = ((k + 0.5) * len(collection.episode_length) / n).astype(np.int64)
    moment = k * 0.6180339887498949 % 1  # multiples of the golden ratio leave no large gap
    offset = (moment * collection.episode_length[episode]).astype(np.int64)
    return np.unique(collection.episode_start[episode] + offset)


class _Page:
    """Paper whose pixels are counted from its upper left corner."""

    def __init__(self, width: float, height: float) -> None:
        self.height = round(height)
        self.figure = Figure((round(width) / DPI, self.height / DPI), dpi=DPI, facecolor="white")
        FigureCanvasAgg(self.figure)

    def frame(self, x: float, y: float, frame: NDArray[np.uint8]) -> None:
        """Draw a frame, its upper left corner at (x, y)."""
        pixels = frame.repeat(ZOOM, axis=-2).repeat(ZOOM, axis=-1)
        # Grey as RGB, too: a colour map would change some by one.
        rgb = np.broadcast_to(pixels, (3, HEIGHT, WIDTH)).transpose(1, 2, 0)
        self.figure.figimage(rgb, round(x), self.height - round(y) - HEIGHT)

    def text(self, x: float, y: float, text: str, *, size: float = SIZE, **style: Any) -> None:
        """Write to the right of and below (x, y)."""
        style = {"color": INK, "va": "top", "family": "DejaVu Sans Mono", **style}
        style |= {"transform": None, "fontsize": size, "parse_math": False}
        self.figure.text(x, self.height - y, text, **style)

    def png(self) -> bytes:
        """Encode the page."""
        out = BytesIO()
        self.figure.savefig(out, format="png", dpi=DPI, metadata={"Software": None})
        return out.getvalue()
