"""The report: a self-contained HTML page, the same in Markdown, and all numbers as CSV."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from lightning_stdim.report.content.commands import commands, made_otherwise
from lightning_stdim.report.content.game_section import section
from lightning_stdim.report.content.paper_tables import table_2, table_3
from lightning_stdim.report.content.summary import Summary, summarise
from lightning_stdim.report.names import game_title
from lightning_stdim.report.output import text
from lightning_stdim.report.published import citations
from lightning_stdim.report.runs_on_disk import Record
from lightning_stdim.report.statistics.aggregates import Interval
from lightning_stdim.report.tables.comparison import ScoreCell, Table
from lightning_stdim.report.tables.notes import made_with
from lightning_stdim.report.tables.printable import (
    BOTH_PROTOCOLS,
    Block,
    Line,
    Sheet,
    SignedCell,
    metric_of,
)
from lightning_stdim.utils.files import atomically

NAME = "report"
FULL, STRONGEST = 0.5, 0.55  # a difference of FULL has the strongest shade, an opacity


def write_report(
    record: Record,
    games: dict[str, list[Table]],
    folder: Path | None = None,
    *,
    summary: Summary | None = None,
) -> list[Path]:
    """Write ``report.html``, ``report.md`` and ``report.csv``.

    The page needs no other file and no network.

    Args:
        record: finished and failed runs.
        games: for each game a comparison of every metric.
        folder: folder for the files; by default the benchmark's directory.
        summary: the page's first part, where :func:`summarise` has made it already.

    Returns:
        The files written: the page comes first.

    Raises:
        StoreError: a file cannot be written, or a file of a run cannot be read.
    """
    summary = summary or summarise(record, games)
    context = {**_context(record, games, folder or record.out), "summary": summary}
    templates = _templates()
    contents = {
        "html": templates.get_template("report.html").render(context),
        "md": templates.get_template("report.md").render(context),
        "csv": text.tidy_csv([table for tables in games.values() for table in tables]),
    }
    written = []
    for suffix, content in contents.items():
        path = (folder or record.out) / f"{NAME}.{suffix}"
        with atomically(path) as temporary:
            temporary.write_text(content, "utf-8")
        written.append(path)
    return written


def _context(record: Record, games: dict[str, list[Table]], folder: Path) -> dict[str, Any]:
    """Gather the values that the templates print."""
    f1 = {game: metric_of(tables, "f1") for game, tables in games.items()}
    names = ", ".join(map(game_title, games)) if len(games) < 4 else f"{len(games)} games"
    return {
        "title": f"State representations of Atari: {names}",
        "tables": [
            table(f1, protocol) for protocol in BOTH_PROTOCOLS for table in (table_2, table_3)
        ],
        "games": [section(record, game, tables) for game, tables in games.items()],
        "failures": record.failures,
        "commands": commands(record, folder),
        "others": made_otherwise(record),
        "made_with": made_with(record.results),
        "citations": citations(),
        "runs": _runs(record),
    }


def _runs(record: Record) -> Sheet:
    blocks = []
    for run in record.runs:
        found = run.results
        seconds = found["budget"].get("seconds")
        cells = ("–" if seconds is None else f"{seconds:.0f} s", found["command"])
        where = run.folder.relative_to(record.out).as_posix()
        blocks.append(Block(where, (Line("", cells),)))
    return Sheet("Runs", ("Time", "Command"), tuple(blocks))


def _templates() -> Environment:
    environment = Environment(
        loader=PackageLoader("lightning_stdim.report"),
        autoescape=lambda name: name is None or not name.endswith(".md"),
        undefined=StrictUndefined,
        trim_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(
        number=text.number,
        signed=_signed,
        shade=_shade,
        percent=lambda share: f"{int(1000 * share) / 10:g}%",  # 0.9996 is not all
        breakable=_breakable,
        markdown=_markdown,
    )
    environment.tests.update(difference=_is(SignedCell), interval=_is(Interval))
    return environment


def _is(kind: type) -> Callable[[object], bool]:
    return lambda value: isinstance(value, kind)


def _signed(cell: ScoreCell) -> str:
    """Write a difference with its sign: ``+0.12``, ``−0.40±.03``."""
    sign = "−" if round(cell.value, 2) < 0 else "+"
    return sign + text.number(ScoreCell(abs(cell.value), cell.half_width))


def _shade(difference: float) -> str:
    """Colour a difference: blue above zero, orange below; colour-blind readers tell them apart."""
    colour = "43, 123, 186" if difference > 0 else "217, 115, 13"
    return f"rgba({colour}, {STRONGEST * min(abs(difference) / FULL, 1):.2f})"


def _breakable(text: str) -> Markup:
    """Let long names, such as those of folders, classes and variants, go on in another line."""
    return Markup("<wbr>").join(
        map(escape, re.split(r"(?<=[/.,_=])(?=\S)|(?<=[a-z])(?=[A-Z])", text))
    )


def _markdown(text: str) -> str:
    """Escape text for Markdown and HTML."""
    return "".join(f"\\{letter}" if letter in "\\`*_[]<>|#" else letter for letter in text)
