"""Where on the screen are the objects whose coordinates are annotated?

    python studies/positions.py [--games pong,breakout]

A coordinate in RAM is not a pixel. For every pair of variables such as ball_x and ball_y (or one
of them, where the other does not vary) and for every scale in SCALES, the frames are shifted by
their labels, so that the object lies at one place in all of them, and their foregrounds are
averaged. The brightest place of the average is where the object is; its brightness is the share of
frames in which something is there. A pair is written to
lightning_stdim/datamodules/labels/screen_positions.json only if that share is high and far above
the share that the labels of other frames give. The report draws true and predicted places from
that file.
"""

from __future__ import annotations

import itertools
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from record import script_parser
from scipy import ndimage

from lightning_stdim.datamodules import store
from lightning_stdim.datamodules.collection.collect import collect
from lightning_stdim.datamodules.collection.settings import CollectionSettings
from lightning_stdim.datamodules.labels.annotations import annotation
from lightning_stdim.datamodules.labels.games import games

OUT = Path("lightning_stdim/datamodules/labels/screen_positions.json")
SCALES = (1.0, 2.0, 0.5, -1.0, -2.0, 4.0)
HEIGHT, WIDTH = 210, 160
REACH = 60  # pixels: how far off a guess may be
PRESENT, GAIN = 0.85, 0.5  # least share of frames, and least distance to chance
CONTRAST = 12  # grey levels by which the foreground differs from the median frame
VALUES = 8  # labels, at least: with fewer, scales cannot be told apart
SAMPLE = 300
Axis = tuple[str, float, float] | None  # variable, scale and offset; None where it is fixed


def main() -> None:
    parser = script_parser(__doc__)
    parser.add_argument("--games", default=",".join(games("upstream")), help="separated by commas")
    parser.add_argument("--steps", type=int, default=6000, help="frames of each game")
    parser.add_argument("--root", default="data", help="folder of the collections")
    arguments = parser.parse_args()
    found = json.loads(OUT.read_text())["games"] if OUT.is_file() else {}
    for game in arguments.games.split(","):
        path = collect(
            CollectionSettings(game, steps=arguments.steps, seed=5), workers=1, root=arguments.root
        )
        collection = store.read(path)
        described = annotation(game, "upstream")
        labels = described.decode(collection.ram)
        values = dict(zip(described.variables, labels.T, strict=True))
        found[game] = objects(collection.frames, values)
        print(game, ", ".join(found[game]) or "nothing", flush=True)
    write({game: found[game] for game in sorted(found)})


def write(found: dict[str, Any]) -> None:
    about = (
        "Where annotated objects are on the 210x160 screen: pixel = offset + scale * label, the "
        "middle of an object of 'size' (width, height); an axis without a variable does not "
        "vary. 'seen' are the least and the greatest label with which it is on the screen. "
        "'present' is the share of frames, of a random agent, with something at that place, "
        "'chance' the same with another frame's labels. Made by studies/positions.py; what "
        f"reached less than {PRESENT} or is within {GAIN} of chance is left out."
    )
    lines = ["{", f' "about": {json.dumps(about)},', ' "games": {']
    for k, (game, things) in enumerate(found.items()):
        rows = [f"   {json.dumps(name)}: {json.dumps(thing)}" for name, thing in things.items()]
        comma = "," if k < len(found) - 1 else ""
        lines += [f"  {json.dumps(game)}: {{", ",\n".join(rows), f"  }}{comma}"]
    OUT.write_text("\n".join([*(line for line in lines if line), " }", "}", ""]))


def objects(
    frames: NDArray[np.uint8], values: dict[str, NDArray[np.int64]]
) -> dict[str, dict[str, Any]]:
    """Find every object of a game that can be found."""
    background = np.median(frames[:: max(1, len(frames) // 500)], axis=0)
    foreground = np.abs(frames.astype(np.int16) - background) > CONTRAST
    found = {}
    for name, (x, y) in pairs(values).items():
        thing = fit(foreground, values, x, y)
        if thing:
            found[name] = thing
    # Two objects at one place, moving together: it cannot be told which one is there.
    things = dict(found)
    for a, b in itertools.combinations(things, 2):
        both = inside(things[a], values) & inside(things[b], values)
        distance = np.abs(middle(things[a], values) - middle(things[b], values)).max(axis=0)
        if both.any() and np.mean(distance[both] < 4) > 0.5:
            found.pop(a, None)
            found.pop(b, None)
    return found


def middle(thing: dict[str, Any], values: dict[str, NDArray[np.int64]]) -> NDArray[np.float64]:
    """Place an object, float64 [2, n]: x and y."""
    n = len(next(iter(values.values())))
    axes = (thing["x"], thing["y"])
    moved = [a["scale"] * values[a["variable"]] if "variable" in a else np.zeros(n) for a in axes]
    return np.stack([a["offset"] + m for a, m in zip(axes, moved, strict=True)])


def pairs(values: dict[str, NDArray[np.int64]]) -> dict[str, tuple[str | None, str | None]]:
    """Match the coordinates of an object; None for one that is not annotated or does not vary."""
    found: dict[str, dict[str, str]] = {}
    for name, column in values.items():
        match = re.fullmatch(r"(.+)_([xy])(_?\d*)", name)
        if match and np.bincount(column).max() < 0.95 * len(column):
            found.setdefault(match[1] + match[3], {})[match[2]] = name
    return {thing: (axes.get("x"), axes.get("y")) for thing, axes in found.items()}


def fit(
    foreground: NDArray[np.bool_],
    values: dict[str, NDArray[np.int64]],
    x: str | None,
    y: str | None,
) -> dict[str, Any] | None:
    generator = np.random.default_rng(0)
    names = [name for name in (x, y) if name]
    # The most frequent value of an object that comes and goes is often that of its absence.
    there = np.all([values[name] != np.bincount(values[name]).argmax() for name in names], axis=0)
    rows = np.flatnonzero(there if there.sum() > 300 else np.ones_like(there))
    rows = np.sort(generator.permutation(rows)[:SAMPLE])
    margins = ((0, 0), (HEIGHT // 2, HEIGHT // 2), (WIDTH // 2, WIDTH // 2))
    padded = np.pad(foreground[rows], margins)
    best: tuple[float, NDArray[np.float64], Axis, Axis] | None = None
    for sx, sy in itertools.product(SCALES if x else (0.0,), SCALES if y else (0.0,)):
        ax = (x, sx, WIDTH / 2 - sx * float(np.median(values[x][rows]))) if x else None
        ay = (y, sy, HEIGHT / 2 - sy * float(np.median(values[y][rows]))) if y else None
        average = overlay(padded, values, rows, ax, ay)
        if best is None or average.max() > best[0] + 0.05:  # among near equals the simplest
            best = (average.max(), average, ax, ay)
    assert best is not None
    _, average, ax, ay = best
    blob, _ = ndimage.label(average > 0.5 * average.max())
    part = blob == blob[np.unravel_index(average.argmax(), average.shape)]
    ys, xs = (np.flatnonzero(part.any(axis)) for axis in (1, 0))
    middle = {"x": (xs[0] + xs[-1]) / 2, "y": (ys[0] + ys[-1]) / 2}
    thing: dict[str, Any] = {}
    for key, axis, full in (("x", ax, WIDTH), ("y", ay, HEIGHT)):
        reach = REACH if axis else full / 2
        name, scale, offset = axis or (None, 0.0, full / 2)
        thing[key] = {"offset": round(offset + middle[key] - reach, 1)}
        if name:
            thing[key] |= {"variable": name, "scale": scale}
    thing["size"] = [int(xs[-1] - xs[0] + 1), int(ys[-1] - ys[0] + 1)]
    if max(thing["size"]) > 60:
        return None
    everywhere = np.sort(generator.permutation(len(foreground))[: 8 * SAMPLE])
    hit = present(foreground, values, everywhere, everywhere, thing)
    for key, axis in (("x", ax), ("y", ay)):
        if axis:
            seen = visible(values[axis[0]][everywhere], hit)
            if seen is None:
                return None
            thing[key]["seen"] = seen
    shown = everywhere[inside(thing, values)[everywhere]]
    if len(shown) < 100:
        return None
    thing["present"] = round(present(foreground, values, shown, shown, thing).mean(), 3)
    other = generator.permutation(shown)
    thing["chance"] = round(present(foreground, values, shown, other, thing).mean(), 3)
    trusted = thing["present"] >= PRESENT and thing["present"] - thing["chance"] >= GAIN
    return thing if trusted else None


def inside(thing: dict[str, Any], values: dict[str, NDArray[np.int64]]) -> NDArray[np.bool_]:
    """Tell in which frames the labels say that an object is on the screen."""
    axes = [axis for axis in (thing["x"], thing["y"]) if "variable" in axis]
    seen = [(axis["seen"], values[axis["variable"]]) for axis in axes]
    found: NDArray[np.bool_] = np.all(
        [(low <= labels) & (labels <= high) for (low, high), labels in seen], axis=0
    )
    return found


def overlay(
    padded: NDArray[np.bool_],
    values: dict[str, NDArray[np.int64]],
    rows: NDArray[np.intp],
    x: Axis,
    y: Axis,
) -> NDArray[np.float64]:
    """Average the foreground around the guess: float [2 reach_y + 1, 2 reach_x + 1], 0 to 1."""
    rx, ry = (REACH if x else WIDTH // 2), (REACH if y else HEIGHT // 2)
    xs = np.rint(x[2] + x[1] * values[x[0]][rows]) if x else np.full(len(rows), WIDTH // 2)
    ys = np.rint(y[2] + y[1] * values[y[0]][rows]) if y else np.full(len(rows), HEIGHT // 2)
    total = np.zeros((2 * ry + 1, 2 * rx + 1))
    for frame, left, top in zip(padded, xs.astype(int), ys.astype(int), strict=True):
        if 0 <= left < WIDTH and 0 <= top < HEIGHT:
            left, top = left + WIDTH // 2 - rx, top + HEIGHT // 2 - ry
            total += frame[top : top + 2 * ry + 1, left : left + 2 * rx + 1]
    return total / len(rows)


def present(
    foreground: NDArray[np.bool_],
    values: dict[str, NDArray[np.int64]],
    rows: NDArray[np.intp],
    labelled: NDArray[np.intp],
    thing: dict[str, Any],
) -> NDArray[np.bool_]:
    """Tell in which frames something is at the place that the labels of `labelled` give."""
    place = []
    for coordinate, full in zip(middle(thing, values)[:, labelled], (WIDTH, HEIGHT), strict=True):
        pixel = np.rint(coordinate).astype(int)
        place.append(np.where((pixel >= 0) & (pixel < full), pixel, -1))
    near = np.zeros(len(rows), bool)
    for dx, dy in itertools.product((-1, 0, 1), repeat=2):  # the frame is of two moments
        xs, ys = np.clip(place[0] + dx, 0, WIDTH - 1), np.clip(place[1] + dy, 0, HEIGHT - 1)
        near |= foreground[rows, ys, xs]
    return near & (place[0] >= 0) & (place[1] >= 0)


def visible(labels: NDArray[np.int64], hit: NDArray[np.bool_]) -> list[int] | None:
    """Find the least and the greatest label at which the object is mostly there."""
    counts, hits = np.bincount(labels), np.bincount(labels, hit)
    often = np.flatnonzero((counts >= 3) & (hits >= 0.7 * counts))
    return [int(often[0]), int(often[-1])] if len(often) >= VALUES else None


if __name__ == "__main__":
    main()
