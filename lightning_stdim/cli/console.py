"""Tables on the terminal: probe scores, and statistics of collections."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Console
from rich.segment import Segments
from rich.table import Table

if TYPE_CHECKING:
    from lightning_stdim.datamodules.tools.describe import Description, Variable

METRICS = {"f1": "F1", "report_f1": "challenge\nreport's F1", "accuracy": "accuracy"}
"""The metrics that :func:`print_scores` prints, where a protocol has them."""

COLUMN = 25
"""Width in characters at which names are folded in a column of :func:`print_descriptions`."""

UNLIMITED = 10_000  # characters


def print_scores(scores: Mapping[str, Any], console: Console | None = None) -> None:
    """Print F1 and accuracy of every protocol, and which variables are not scored.

    Under ``challenge`` there is the challenge report's F1, too, in a column of its own.

    Args:
        scores: an ``Evaluation``, or what its ``to_dict`` gives.
        console: where to print; standard output by default.
    """
    console = console or Console()
    protocols = scores["protocols"]
    table = Table(title=f"{scores['game']}, label set {scores['label_set']}: test scores")
    table.add_column("")
    columns = []
    for name, metrics in protocols.items():
        for metric, title in METRICS.items():
            if metric in metrics:
                table.add_column(f"{name}\n{title}", justify="right")
                columns.append(metrics[metric])

    def row(label: str, values: list[float | None]) -> None:
        table.add_row(label, *("–" if value is None else f"{value:.3f}" for value in values))

    for category in columns[0]["categories"]:
        row(category, [column["categories"][category] for column in columns])
    table.add_section()
    row("mean over categories", [column["mean_over_categories"] for column in columns])
    row("mean over variables", [column["mean_over_variables"] for column in columns])
    row("mean weighted by entropy", [column["mean_weighted_by_entropy"] for column in columns])
    table.add_section()
    for variable in columns[0]["variables"]:
        row(variable, [column["variables"][variable] for column in columns])
    _print_whole(table, console)
    for variable, reason in scores["dropped"].items():
        console.print(f"not scored: {variable} ({reason})", style="dim")


def print_descriptions(
    names: Sequence[str], descriptions: Sequence[Description], console: Console | None = None
) -> None:
    """Print statistics of collections side by side, in several tables if one is too wide.

    Args:
        names: names of the collections.
        descriptions: the statistics of each.
        console: where to print; standard output by default.
    """
    console = console or Console()
    pairs = list(zip(names, descriptions, strict=True))
    variables = {variable.name: None for part in descriptions for variable in part.variables}
    label = max(len("test frames seen before"), *map(len, variables))
    pieces: list[list[tuple[str, Description]]] = [[]]
    for pair in pairs:
        together = [*pieces[-1], pair]
        if pieces[-1] and _width(_side_by_side(together, label), console) > console.width:
            pieces.append([])
        pieces[-1].append(pair)
    for piece in pieces:
        _print_whole(_side_by_side(piece, label), console)
    console.print(
        "test frames seen before: test frames that also occur in the training or validation split "
        "(70/10/20 by episode, seed 0). returns: mean (least to greatest) over complete games. "
        "nats: entropy of the labels. top: share of the most frequent value. scored: whether the "
        "variable passes the entropy filter on these frames (here), in the paper (paper), or in "
        "both.",
        style="dim",
    )


def _print_whole(table: Table, console: Console) -> None:
    """Print a table as wide as it must be: a number that is cut at the edge would be another."""
    width = max(console.width, _width(table, console))
    lines = console.render(table, console.options.update(width=width, markup=False))
    console.print(Segments(lines), end="", crop=False)


def _width(table: Table, console: Console) -> int:
    return console.measure(table, options=console.options.update(width=UNLIMITED)).maximum


def _side_by_side(pairs: Sequence[tuple[str, Description]], label: int) -> Table:
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 0, 0, 1))
    table.add_column(no_wrap=True, min_width=label)
    for name, _ in pairs:
        table.add_column(textwrap.fill(name, COLUMN), justify="right", no_wrap=True)
    facts = [_facts(part) for _, part in pairs]
    for row in facts[0]:
        table.add_row(row, *(fact[row] for fact in facts))
    table.add_section()
    head = f"{'nats':>5}{'values':>7}{'top':>6} {'scored':<6}"
    table.add_row("variable", *[head] * len(pairs), style="bold")
    columns = [{variable.name: variable for variable in part.variables} for _, part in pairs]
    for name in {name: None for column in columns for name in column}:
        found = [column.get(name) for column in columns]
        table.add_row(name, *("" if v is None else _variation(v) for v in found))
    return table


def _facts(part: Description) -> dict[str, str]:
    length, returns = part.episode_length, part.returns
    return {
        "game": part.game,
        "policy": textwrap.fill(part.policy, COLUMN),
        "policy's SHA-256": (part.policy_sha256 or "–")[:8],
        "epsilon": "–" if part.epsilon is None else f"{part.epsilon:g}",
        "greedy": {None: "–", True: "yes", False: "no"}[part.greedy],
        "seed": str(part.seed),
        "label set": part.label_set,
        "pixels": part.pixels,
        "mode": "default" if part.mode is None else str(part.mode),
        "difficulty": "default" if part.difficulty is None else str(part.difficulty),
        "environment": part.environment,
        "frames": str(part.frames),
        "unique frames": f"{part.unique_frames} ({part.unique_share:.1%})",
        "test frames seen before": (
            "–" if part.test_duplicates is None else f"{part.test_duplicates:.1%}"
        ),
        "games": str(part.games),
        "complete games": str(part.complete_games),
        "returns": (
            "–"
            if returns is None
            else f"{returns['mean']:.4g} ({returns['min']:g} to {returns['max']:g})"
        ),
        "episodes": str(part.episodes),
        "median length": f"{length['median']:g} ({length['min']:g} to {length['max']:g})",
    }


def _variation(variable: Variable) -> str:
    here, paper = variable.scored, variable.probed_in_paper
    who = "both" if here and paper else "here" if here else "paper" if paper else "–"
    return f"{variable.entropy:5.2f}{variable.values:7}{variable.top_share:6.0%} {who:<6}"
