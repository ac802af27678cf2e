"""Tables for a page or for Markdown: column headings, and blocks of lines of cells."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from lightning_stdim.catalogue import method_named
from lightning_stdim.report.names import Entry, Group, in_order
from lightning_stdim.report.statistics.aggregates import Interval
from lightning_stdim.report.tables.comparison import ScoreCell, Table
from lightning_stdim.runs.results import Metric

Protocol = Literal["paper", "converged", "challenge"]
BOTH_PROTOCOLS: tuple[Protocol, Protocol] = ("paper", "converged")
Value = ScoreCell | Interval | str | None


@dataclass(frozen=True)
class SignedCell(ScoreCell):
    """A difference of two scores: printed with its sign, on a coloured background."""


@dataclass(frozen=True)
class Line:
    """One line of a sheet.

    Attributes:
        label: the origin of the numbers; may be empty.
        cells: one for every column: a score, a difference, other text, or None.
    """

    label: str
    cells: tuple[Value, ...]


@dataclass(frozen=True)
class Block:
    """Lines about the same thing.

    Attributes:
        label: what the lines are about.
        lines: at least one.
    """

    label: str
    lines: tuple[Line, ...]


@dataclass(frozen=True)
class Sheet:
    """A table to print.

    Attributes:
        title: the caption.
        columns: the headings.
        blocks: the blocks from top to bottom.
        notes: sentences below the table.
    """

    title: str
    columns: tuple[str, ...]
    blocks: tuple[Block, ...]
    notes: tuple[str, ...] = ()


def transposed(sheet: Sheet) -> Sheet:
    """Exchange columns and blocks, for a table of many methods.

    Args:
        sheet: a table whose blocks have lines of the same names.

    Returns:
        The same numbers, with a block for every column and a column for every block; empty lines
        are left out. If there is only one block: a row for every column, and a column for every
        line.
    """
    there = {(b.label, line.label): line.cells for b in sheet.blocks for line in b.lines}
    labels = list(dict.fromkeys(line for _, line in there))
    names = [block.label for block in sheet.blocks]

    def pick(block: str, line: str, column: int) -> Value:
        return there[block, line][column] if (block, line) in there else None

    def lines(k: int) -> Iterator[Line]:
        if len(names) == 1:
            yield Line("", tuple(pick(names[0], label, k) for label in labels))
        else:
            for label in labels:
                cells = tuple(pick(name, label, k) for name in names)
                if any(cell is not None for cell in cells):
                    yield Line(label, cells)

    turned = ((column, tuple(lines(k))) for k, column in enumerate(sheet.columns))
    blocks = tuple(Block(column, found) for column, found in turned if found)
    headings = [label or names[0] for label in labels] if len(names) == 1 else names
    return replace(sheet, columns=tuple(headings), blocks=blocks)


def entries_of(tables: Iterable[Table], group: Group | None = None) -> list[Entry]:
    """List the entries that tables compare.

    Args:
        tables: comparisons.
        group: list only entries with numbers of this origin; by default of any.

    Returns:
        Methods with their variants, in the order in which tables list them.
    """
    columns = (column for table in tables for column in table.columns)
    return in_order(column.entry for column in columns if group in (None, column.group))


def protocol_of(method: str, protocol: Protocol) -> str:
    """Name the protocol under which our score of a method is taken.

    Args:
        method: name of the method.
        protocol: the protocol under which methods are compared.

    Returns:
        The same protocol, with two exceptions: majority has a score of its own, and under ``paper``
        and ``challenge`` the supervised network has the score of its own heads, as in the
        publications.
    """
    known = method_named(method)
    if known.has_model and protocol == "converged":
        return protocol
    return known.own_protocol or protocol


def metric_of(tables: Sequence[Table], metric: Metric) -> Table:
    """Pick a game's table of one metric.

    Args:
        tables: one table for every metric.
        metric: the metric.

    Returns:
        The table.
    """
    return next(table for table in tables if table.metric == metric)
