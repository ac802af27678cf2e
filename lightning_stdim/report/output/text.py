"""The comparison table as text: for the terminal, for Markdown and for other programs."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from itertools import chain, groupby

from rich import box
from rich.console import Console, Group, RenderableType
from rich.table import Table as RichTable
from rich.text import Text

from lightning_stdim.report.names import GROUPS
from lightning_stdim.report.tables.comparison import Column, ScoreCell, Table
from lightning_stdim.report.tables.notes import BUDGET_ROWS

# Header words that would make a narrow column of numbers wide, broken where they may be.
BREAKS = {
    "Random-CNN": "Random-\nCNN",
    "Supervised": "Super-\nvised",
    "converged": "con-\nverged",
    "end to end": "end to\nend",
    "challenge": "chal-\nlenge",
    "challenge, challenge report's F1": "challenge,\nchallenge\nreport's\nF1",
    "end to end, challenge report's F1": "end to end,\nchallenge\nreport's\nF1",
    "challenge report's F1": "challenge\nreport's\nF1",
}


def number(cell: ScoreCell | None) -> str:
    """Write a score in two decimals, with its interval: ``0.70``, ``0.70±.03``.

    Args:
        cell: the score; None where there is none.

    Returns:
        The text; a dash for None.
    """
    if cell is None:
        return "–"
    if cell.half_width is None:
        return f"{cell.value:.2f}"
    return f"{cell.value:.2f}±{f'{cell.half_width:.2f}'.removeprefix('0')}"


def terminal(tables: Sequence[Table], console: Console) -> RenderableType:
    """Lay out tables for a terminal; a table that is too wide is split.

    Args:
        tables: comparisons of one game.
        console: the console that they will be printed on, for its width.

    Returns:
        Something to print on that console.
    """
    unlimited = console.options.update(width=10_000)

    def fits(table: Table, columns: Sequence[int]) -> bool:
        return console.measure(_rich(table, columns), options=unlimited).maximum <= console.width

    drawn: list[RenderableType] = []
    for table in tables:
        pieces: list[list[int]] = [[]]
        groups = [column.group for column in table.columns]
        for _, group in groupby(range(len(groups)), groups.__getitem__):
            together = list(group)
            if pieces[-1] and not fits(table, pieces[-1] + together):
                pieces.append([])
            for k in together:
                if pieces[-1] and not fits(table, [*pieces[-1], k]):
                    pieces.append([])
                pieces[-1].append(k)
        drawn += [Text(table.title, style="bold"), *(_rich(table, piece) for piece in pieces)]
    return Group(*drawn, *(Text(note, style="dim") for note in shared_notes(tables)))


def markdown(tables: Sequence[Table]) -> str:
    """Write tables in Markdown, wide ones in parts, and the notes once at the end.

    Args:
        tables: comparisons of one game.

    Returns:
        The document.
    """
    lines: list[str] = []
    for table in chain.from_iterable(table.parts() for table in tables):
        heads = [
            "<br>".join(filter(None, (GROUPS[c.group], c.title, c.subtitle))) for c in table.columns
        ]
        lines += [f"### {table.title}", "", _line(["", *heads])]
        lines += [_line(["---", *["---:"] * len(heads)])]
        for row, cells in zip(table.rows, table.cells, strict=True):
            label = f"`{row.label}`" if row.kind == "variable" else row.label
            texts = [f"*{number(c)}*" if c and c.derived else number(c) for c in cells]
            if row.kind == "mean":
                label, texts = f"**{label}**", [f"**{text}**" for text in texts]
            lines.append(_line([label, *texts]))
        lines += [_line([f"*{name}*", *values]) for name, values in budget_lines(table.columns)]
        lines.append("")
    return "\n".join([*lines, *(f"{note}\n" for note in shared_notes(tables))])


def tidy_csv(tables: Sequence[Table]) -> str:
    """Write tables as CSV with one number a line, for other programs.

    Args:
        tables: comparisons.

    Returns:
        Lines of game, metric, kind of row, row, group, method, protocol, value, half_width (of
        the 95 % interval; empty for one run), runs (empty for published numbers), derived (1 if no
        published table prints the number), label_set (with its version), variant (how our
        runs differ from their preset), split (of the frames that the number is on). Numbers are not
        rounded.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    head = "game metric kind row group method protocol value half_width runs derived"
    writer.writerow([*head.split(), "label_set", "variant", "split"])
    for table in tables:
        for row, cells in zip(table.rows, table.cells, strict=True):
            for column, cell in zip(table.columns, cells, strict=True):
                if cell is not None:
                    metric = column.metric or table.metric
                    where = (table.game, metric, row.kind, row.name)
                    whose = (column.group, column.method, column.protocol)
                    what = (cell.value, cell.half_width, cell.runs, int(cell.derived))
                    kind = (column.labels, column.variant, column.split)
                    writer.writerow((*where, *whose, *what, *kind))
    return text.getvalue()


def _rich(table: Table, columns: Sequence[int]) -> RichTable:
    chosen = [table.columns[k] for k in columns]
    # An empty column, and a heading, where a group begins.
    begins = [k > 0 and chosen[k].group != chosen[k - 1].group for k in range(len(chosen))]
    drawn = RichTable(box=box.SIMPLE_HEAD, padding=(0, 0, 0, 1))
    drawn.add_column(no_wrap=True)
    titles = _level([BREAKS.get(column.title, column.title) for column in chosen])
    subtitles = _level([BREAKS.get(column.subtitle, column.subtitle) for column in chosen])
    for k, column in enumerate(chosen):
        if begins[k]:
            drawn.add_column(" ")
        group = GROUPS[column.group] if begins[k] or k == 0 else ""
        head = "\n".join([group, titles[k], subtitles[k]])
        drawn.add_column(Text(head), justify="right", no_wrap=True)  # names may have brackets

    def line(label: str, texts: Sequence[str | Text], style: str = "") -> None:
        cells: list[str | Text] = []
        for k, begin in zip(columns, begins, strict=True):
            cells += ["", texts[k]] if begin else [texts[k]]
        drawn.add_row(Text(label), *cells, style=style)

    kind = table.rows[0].kind
    for row, scores in zip(table.rows, table.cells, strict=True):
        if row.kind != kind:
            drawn.add_section()
            kind = row.kind
        texts = [Text(number(c), style="italic" if c and c.derived else "") for c in scores]
        line(row.label, texts, style="bold" if row.kind == "mean" else "")
    drawn.add_section()
    for name, values in budget_lines(table.columns):
        line(name, values, style="dim")
    return drawn


def _level(texts: Sequence[str]) -> list[str]:
    """Give all texts as many lines as the longest has."""
    most = max(text.count("\n") for text in texts)
    return [text + "\n" * (most - text.count("\n")) for text in texts]


def shared_notes(tables: Sequence[Table]) -> list[str]:
    """Collect the notes of several tables, each once.

    Args:
        tables: comparisons of one game.

    Returns:
        The notes, in their order.
    """
    return list(dict.fromkeys(note for table in tables for note in table.notes))


def budget_lines(columns: Sequence[Column]) -> Iterator[tuple[str, list[str]]]:
    """Write what the numbers cost, and their label sets if these differ.

    Args:
        columns: a table's columns.

    Yields:
        A line's label and its text for every column.
    """
    if len({column.labels for column in columns}) > 1:
        yield "label set", [column.labels for column in columns]
    for name in BUDGET_ROWS:
        yield name, [column.budget.get(name, "–") for column in columns]


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
