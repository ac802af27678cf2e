"""F1 against optimiser steps as text: for readers in Markdown, for programs as CSV and JSON."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

from lightning_stdim.report.names import PROTOCOLS, game_title
from lightning_stdim.report.statistics.student import MeanWithCI
from lightning_stdim.report.tables.comparison import Row
from lightning_stdim.report.tables.step_curves import (
    BySeed,
    StepCurve,
    ahead_from,
    gain,
    mean,
    values,
)

INTRODUCTION = (
    "F1 on the test split, weighted by support; where nothing else is said, its mean over "
    "categories. A gain is the difference to the untrained encoder of the same seed, from which "
    "training started. Numbers are means over seeds; after ± is half of Student's 95 % interval, "
    "where there are two seeds or more. Intervals hold for one number at a time."
)


def count(steps: int) -> str:
    """Write a number of steps with groups of three digits.

    Args:
        steps: the number.

    Returns:
        Such as ``"64 000"``.
    """
    return f"{steps:,}".replace(",", " ")


def markdown(curves: Sequence[StepCurve], picture: str) -> str:
    """Say what the curves show, and tabulate them.

    Args:
        curves: the curves of all games, methods and protocols, in the order of the tables.
        picture: name of the picture's file.

    Returns:
        The document.
    """
    lines = ["# F1 against optimiser steps", "", f"![The curves]({picture})", "", INTRODUCTION, ""]
    for game, of_game in groupby(curves, lambda curve: curve.game):
        lines += [f"## {game_title(game)}", ""]
        for protocol, together in groupby(of_game, lambda curve: curve.protocol):
            found = list(together)
            lines += [f"### Protocol {PROTOCOLS.get(protocol, protocol)}", ""]
            lines += [f"* {verdict(curve)}" for curve in found]
            lines += ["", *_by_step(found), ""]
            for curve in found:
                for step in curve.last_steps:
                    lines += [*_by_variable(curve, step), ""]
    return "\n".join(lines[:-1]) + "\n"


def verdict(curve: StepCurve) -> str:
    """Say from which number of steps on a method is ahead of its untrained encoder.

    Args:
        curve: the method's curve.

    Returns:
        One or two sentences.
    """
    row = curve.headline
    last = curve.last_steps[-1]
    seeds = "seed" if len(curve.seeds) == 1 else "seeds"
    who = f"**{curve.entry.title}** ({seeds} {', '.join(map(str, curve.seeds))})"
    at_last = (
        f"after {count(last)} steps the gain is {_signed(gain(curve, curve.snapshots[last], row))}"
    )
    first = ahead_from(curve, row)
    if first is None:
        return f"{who} is not ahead of its untrained encoder: {at_last}."
    text = f"{who} is ahead of its untrained encoder from {count(first)} steps on: {at_last}."
    if len(curve.seeds) > 1:
        at_end = gain(curve, curve.snapshots[last], row)
        if at_end and at_end.half_width is None and at_end.runs > 1:
            return f"{text} The gain is the same in all seeds, so that it has no interval."
        resolved = ahead_from(curve, row, resolved=True)
        text += " The gain's interval "
        text += (
            "includes zero at the last snapshot that several seeds have."
            if resolved is None
            else f"is above zero from {count(resolved)} steps on."
        )
    return text


def tidy_csv(curves: Sequence[StepCurve]) -> str:
    """Write the curves as CSV with one number a line, for other programs.

    Args:
        curves: the curves.

    Returns:
        Lines of game, method, variant, protocol, seed, encoder (untrained, snapshot or kept), step,
        kind (category, mean or variable), row, f1. Numbers are not rounded.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    head = "game method variant protocol seed encoder step kind row f1"
    writer.writerow(head.split())
    for curve in curves:
        for seed, encoder, step, _ in _points(curve):
            scores = _of(curve, encoder, step)
            for row in curve.rows:
                if (value := values(scores, row).get(seed)) is not None:
                    where = (curve.game, *curve.entry, curve.protocol, seed, encoder, step)
                    writer.writerow((*where, row.kind, row.name, value))
    return text.getvalue()


def as_json(curves: Sequence[StepCurve]) -> str:
    """Write the curves as JSON: the F1 of every encoder as in its record.

    Args:
        curves: the curves.

    Returns:
        A list of objects, one for every encoder and protocol, with ``game``, ``method``,
        ``variant``, ``protocol``, ``seed``, ``encoder`` (untrained, snapshot or kept), ``step`` and
        ``f1`` (by variables and categories, and its means).
    """
    points: list[dict[str, Any]] = [
        {
            "game": curve.game,
            "method": curve.entry.method,
            "variant": curve.entry.variant,
            "protocol": curve.protocol,
            "seed": seed,
            "encoder": encoder,
            "step": step,
            "f1": scores,
        }
        for curve in curves
        for seed, encoder, step, scores in _points(curve)
    ]
    return json.dumps(points, indent=1) + "\n"


def _points(curve: StepCurve) -> Iterator[tuple[int, str, int, Any]]:
    """Iterate over the encoders of a curve: seed, kind, steps and scores."""
    for seed in curve.seeds:
        yield seed, "untrained", 0, curve.untrained[seed]
        for step, scores in curve.snapshots.items():
            if seed in scores:
                yield seed, "snapshot", step, scores[seed]
        if seed in curve.kept:
            yield seed, "kept", curve.kept_steps[seed], curve.kept[seed]


def _of(curve: StepCurve, encoder: str, step: int) -> BySeed:
    own = {"untrained": curve.untrained, "kept": curve.kept}
    return own[encoder] if encoder in own else curve.snapshots[step]


def _by_step(curves: Sequence[StepCurve]) -> Iterator[str]:
    """Tabulate methods side by side, with a line for every number of steps."""
    heads = [f"{curve.entry.title}: {what}" for curve in curves for what in ("F1", "gain", "seeds")]
    yield _line(["optimiser steps", *heads])
    yield _line(["---:", *["---:"] * len(heads)])
    for step in sorted({0, *(step for curve in curves for step in curve.snapshots)}):
        cells = [
            _cells(curve, curve.snapshots.get(step, {}) if step else curve.untrained, step)
            for curve in curves
        ]
        label = f"{count(step)}" if step else "0 (untrained)"
        yield _line([label, *(text for three in cells for text in three)])
    if any(curve.kept for curve in curves):
        steps = sorted({step for curve in curves for step in curve.kept_steps.values()})
        span = count(steps[0]) if len(steps) == 1 else f"{count(steps[0])} to {count(steps[-1])}"
        cells = [_cells(curve, curve.kept, 1) for curve in curves]
        yield _line([f"kept encoder ({span})", *(text for three in cells for text in three)])


def _cells(curve: StepCurve, scores: BySeed, step: int) -> tuple[str, str, str]:
    if not scores:
        return "–", "–", "–"
    row = curve.headline
    change = _signed(gain(curve, scores, row)) if step else ""
    return _number(mean(scores, row)), change, str(len(scores))


def _by_variable(curve: StepCurve, step: int) -> Iterator[str]:
    """Tabulate categories, means and variables after one number of steps."""
    scores = curve.snapshots[step]
    before = {seed: one for seed, one in curve.untrained.items() if seed in scores}
    number = f"{len(scores)} seed{'s' if len(scores) > 1 else ''}"
    yield _line([f"{curve.entry.title}, {number}", "untrained", f"{count(step)} steps", "gain"])
    yield _line(["---", "---:", "---:", "---:"])
    for row in curve.rows:
        texts = [
            _number(mean(before, row)),
            _number(mean(scores, row)),
            _signed(gain(curve, scores, row)),
        ]
        yield _line(_marked(row, texts))


def _marked(row: Row, texts: Sequence[str]) -> list[str]:
    if row.kind == "mean":
        return [f"**{text}**" for text in (row.label, *texts)]
    return [f"`{row.label}`" if row.kind == "variable" else row.label, *texts]


def _number(found: MeanWithCI | None) -> str:
    """Write a score in three decimals, since curves differ by hundredths: ``0.146±0.020``."""
    if found is None:
        return "–"
    return f"{found.mean:.3f}" + _interval(found)


def _signed(found: MeanWithCI | None) -> str:
    """Write a difference with its sign: ``+0.512±0.030``."""
    if found is None:
        return "–"
    return f"{found.mean:+.3f}".replace("-", "−") + _interval(found)


def _interval(found: MeanWithCI) -> str:
    return "" if found.half_width is None else f"±{found.half_width:.3f}"


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
