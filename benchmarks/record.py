"""Output of benchmarks and studies: a table, and a record with versions, machine and command.

``studies/record.py`` is a link to this file, so that scripts of both folders import it.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from lightning_stdim.runs.environment import environment


def script_parser(docstring: str | None) -> argparse.ArgumentParser:
    """Make a script's parser, whose help begins with the script's docstring, line by line."""
    return argparse.ArgumentParser(
        description=docstring, formatter_class=argparse.RawDescriptionHelpFormatter
    )


def print_table(title: str, headings: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table: names in the first column, numbers in the others."""
    table = Table(title=title)
    for column, heading in enumerate(headings):
        table.add_column(heading, justify="right" if column else "left")
    for row in rows:
        table.add_row(*row)
    Console().print(table)


def markdown_table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Lay out the same table in Markdown, for the documentation."""
    lines = [headings, ["---", *["---:"] * (len(headings) - 1)], *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def write_table(out: str | None, headings: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Write the Markdown table beside the JSON record, if a record is asked for."""
    if out is not None:
        Path(out).with_suffix(".md").write_text(markdown_table(headings, rows), "utf-8")


def write_record(out: str | None, measured: dict[str, Any]) -> None:
    """Write a JSON record with the command and the environment, if a file is named."""
    if out is None:
        return
    folder, name = Path(sys.argv[0]).absolute().parts[-2:]
    record = {
        "command": " ".join(["python", f"{folder}/{name}", *sys.argv[1:]]),
        "environment": environment(),
        **measured,
    }
    Path(out).parent.mkdir(parents=True, exist_ok=True)
    Path(out).write_text(json.dumps(record, indent=1) + "\n", "utf-8")
