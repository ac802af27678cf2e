"""A game's tables of numbers: everything there is, the controls, and what it cost."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from statistics import fmean

from lightning_stdim.benchmark.record import Run, on_the_same_frames
from lightning_stdim.benchmark.report.render import budget_lines
from lightning_stdim.benchmark.report.sheets import Block, Line, Sheet
from lightning_stdim.benchmark.report.tables import METRICS, Cell, Row, Table


def numbers(table: Table) -> Sheet:
    """Lay out all of a comparison.

    Args:
        table: of one metric.

    Returns:
        The sheet.
    """
    groups = {"ours": "", "report": "the report: ", "paper": "the paper: "}
    columns = tuple(
        f"{groups[column.group]}{column.title}{f', {column.subtitle}' if column.subtitle else ''}"
        for column in table.columns
    )
    return Sheet(
        title=f"{table.game.capitalize()}: {METRICS[table.metric]}",
        columns=columns,
        blocks=tuple(
            Block(row.label, (Line("", cells),))
            for row, cells in zip(table.rows, table.cells, strict=True)
        ),
    )


def controls(table: Table, runs: Sequence[Run]) -> Sheet | None:
    """Lay out what is known without a representation.

    Args:
        table: for the rows.
        runs: of the same game.

    Returns:
        The sheet; None for old runs, which were made without controls.
    """
    others = {run.frames for run in runs}
    runs = on_the_same_frames(runs)
    if not any("controls" in run.results["scores"] for run in runs):
        return None
    entropies: dict[str, float] = {}
    for run in runs:
        entropies |= run.results["scores"].get("entropies", {})
    blocks = []
    for row in table.rows:
        scores = [control(runs, row, name) for name in ("majority", "shuffled")]
        cells = (entropies.get(row.name), *scores)
        line = Line("", tuple(None if value is None else Cell(value) for value in cells))
        blocks.append(Block(row.label, (line,)))
    return Sheet(
        f"{table.game.capitalize()}: label entropy, and F1 without a representation",
        ("Entropy, nats", "Most frequent label", "Shuffled labels"),
        tuple(blocks),
        (
            "Means over seeds, and for shuffled labels over methods."
            + f" Frames: {runs[0].frames or 'the protocol’s'}." * (len(others) > 1),
        ),
    )


def control(runs: Iterable[Run], row: Row, name: str) -> float | None:
    """Average a control's F1.

    Args:
        runs: of one game.
        row: a variable, category or mean.
        name: ``"majority"`` or ``"shuffled"``.

    Returns:
        The mean over the runs; None where none of them has it.
    """
    found = (run.results["scores"].get("controls", {}).get(name) for run in runs)
    known = [value for one in found if one and (value := row.pick(one["f1"])) is not None]
    return fmean(known) if known else None


def budget(table: Table) -> Sheet:
    """Lay out what every method cost, a method a line.

    Args:
        table: of any metric.

    Returns:
        The sheet.
    """
    ours: dict[str, int] = {}  # a run's protocols cost together what they cost
    for k, column in enumerate(table.columns):
        if column.group == "ours":
            ours.setdefault(column.title, k)
    facts = dict(budget_lines(table.columns))
    return Sheet(
        title=f"What the numbers on {table.game.capitalize()} cost",
        columns=tuple(name.capitalize() for name in facts),
        blocks=tuple(
            Block(title, (Line("", tuple(values[k] for values in facts.values())),))
            for title, k in ours.items()
        ),
    )
