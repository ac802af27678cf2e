"""Probe scores on the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table


def print_scores(scores: Mapping[str, Any], console: Console | None = None) -> None:
    """Print what ``evaluate_encoder`` returns: F1 and accuracy of every protocol, what was dropped.

    Args:
        scores: the plain data of one evaluation.
        console: where to print; standard output by default.
    """
    console = console or Console()
    protocols = scores["protocols"]
    table = Table(title=f"{scores['game']}, label set {scores['label_set']}: test scores")
    table.add_column("")
    for name in protocols:
        table.add_column(f"{name}\nF1", justify="right")
        table.add_column(f"{name}\naccuracy", justify="right")
    columns = [protocols[name][metric] for name in protocols for metric in ("f1", "accuracy")]

    def row(label: str, values: list[float | None]) -> None:
        table.add_row(label, *("–" if value is None else f"{value:.3f}" for value in values))

    for category in columns[0]["categories"]:
        row(category, [column["categories"][category] for column in columns])
    table.add_section()
    row("mean over categories", [column["mean_over_categories"] for column in columns])
    row("mean over variables", [column["mean_over_variables"] for column in columns])
    table.add_section()
    for variable in columns[0]["variables"]:
        row(variable, [column["variables"][variable] for column in columns])
    console.print(table)
    for variable, reason in scores["dropped"].items():
        console.print(f"not scored: {variable} ({reason})", style="dim")
