"""A game's tables of numbers: all scores, the controls, and the budget."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from statistics import fmean

from lightning_stdim.report.names import GROUPS_IN_WORDS, METRICS, game_title
from lightning_stdim.report.output.text import budget_lines
from lightning_stdim.report.runs_on_disk import Run, on_the_same_frames
from lightning_stdim.report.tables.comparison import Column, Row, ScoreCell, Table
from lightning_stdim.report.tables.printable import Block, Line, Sheet


def numbers(table: Table) -> Sheet:
    """Lay out all numbers of a comparison.

    Args:
        table: the comparison of one metric.

    Returns:
        The sheet.
    """
    columns = tuple(
        f"{_whose(column)}{f', {column.subtitle}' if column.subtitle else ''}"
        for column in table.columns
    )
    return Sheet(
        title=", ".join(
            filter(None, (f"{game_title(table.game)}: {METRICS[table.metric]}", table.part))
        ),
        columns=columns,
        blocks=tuple(
            Block(row.label, (Line("", cells),))
            for row, cells in zip(table.rows, table.cells, strict=True)
        ),
    )


def controls(table: Table, runs: Sequence[Run]) -> Sheet | None:
    """Lay out label entropies, and the scores of controls without a representation.

    Args:
        table: the comparison whose rows are used.
        runs: runs of the same game.

    Returns:
        The sheet; None if no run has controls, as in old records.
    """
    others = {run.frames for run in runs}
    runs = on_the_same_frames(runs)
    if not any("controls" in run.results["scores"] for run in runs):
        return None
    blocks = []
    for row in table.rows:
        scores = [control(runs, row, name) for name in ("majority", "shuffled")]
        cells = (_entropy(runs, row), *scores)
        line = Line("", tuple(None if value is None else ScoreCell(value) for value in cells))
        blocks.append(Block(row.label, (line,)))
    frames = f" Frames: {runs[0].frames or 'the protocol’s'}." if len(others) > 1 else ""
    return Sheet(
        f"{game_title(table.game)}: label entropy, and F1 without a representation",
        ("Entropy, nats", "Most frequent label", "Shuffled labels"),
        tuple(blocks),
        (
            "Means over seeds. Shuffled labels are scored once for each method, and averaged over "
            f"methods within a seed.{frames}",
        ),
    )


def control(runs: Iterable[Run], row: Row, name: str) -> float | None:
    """Average a control's F1.

    Args:
        runs: runs of one game.
        row: a variable, category or mean.
        name: ``"majority"`` or ``"shuffled"``.

    Returns:
        The mean over seeds of the mean over a seed's runs; None if no run has the control.
    """
    found = ((run, run.results["scores"].get("controls", {}).get(name)) for run in runs)
    return _over_seeds((run, row.pick(one["f1"])) for run, one in found if one)


def _entropy(runs: Iterable[Run], row: Row) -> float | None:
    return _over_seeds(
        (run, run.results["scores"].get("entropies", {}).get(row.name)) for run in runs
    )


def _over_seeds(values: Iterable[tuple[Run, float | None]]) -> float | None:
    """Average within each seed first: one with more runs counts no more than the others."""
    of_seed: dict[int, list[float]] = defaultdict(list)
    for run, value in values:
        if value is not None:
            of_seed[run.results["seed"]].append(value)
    return fmean(map(fmean, of_seed.values())) if of_seed else None


def budget(table: Table) -> Sheet:
    """Lay out what every method cost, one per line, with what is known of published ones.

    Args:
        table: the comparison of any metric.

    Returns:
        The sheet.
    """
    first: dict[str, int] = {}  # a run's protocols cost together what they cost
    for k, column in enumerate(table.columns):
        if column.group == "ours" or column.budget:
            first.setdefault(_whose(column), k)
    facts = dict(budget_lines(table.columns))
    return Sheet(
        title=f"What the numbers on {game_title(table.game)} cost",
        columns=tuple(name.capitalize() for name in facts),
        blocks=tuple(
            Block(title, (Line("", tuple(values[k] for values in facts.values())),))
            for title, k in first.items()
        ),
    )


def _whose(column: Column) -> str:
    whose = "" if column.group == "ours" else f"{GROUPS_IN_WORDS[column.group]}: "
    return f"{whose}{column.title}"
