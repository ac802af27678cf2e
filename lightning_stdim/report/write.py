"""The comparison tables of every game, written to files and printed."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from lightning_stdim.report.names import METRICS
from lightning_stdim.report.output import table_image, text
from lightning_stdim.report.published import Agent
from lightning_stdim.report.runs_on_disk import Record
from lightning_stdim.report.tables.comparison import Table, compare
from lightning_stdim.utils.files import atomically

NAME = "comparison"


def compare_games(
    record: Record, *, mixed_label_sets: bool = False, paper_agent: Agent | None = None
) -> dict[str, list[Table]]:
    """Lay out the tables of every game.

    Args:
        record: finished runs.
        mixed_label_sets: compare results of different label sets, and published numbers with
            results for other label sets than the paper's.
        paper_agent: the agent whose frames the paper's numbers are for; by default a PPO agent
            beside results on frames that an agent's file collected, and a random agent beside
            others.

    Returns:
        For each game a table for every metric.

    Raises:
        ConfigurationError: a game's results are for different label sets, and they are not to be
            mixed.
    """
    return {
        game: [
            compare(
                record.results,
                game=game,
                metric=metric,
                mixed_label_sets=mixed_label_sets,
                paper_agent=paper_agent,
            )
            for metric in METRICS
        ]
        for game in record.games
    }


def write_comparison(out: Path, games: dict[str, list[Table]]) -> list[Path]:
    """Write the tables of every game as Markdown, CSV and PNG.

    Args:
        out: the benchmark's directory; the files are ``<game>/comparison.{md,csv,png}`` in it.
        games: the tables of each game.

    Returns:
        The files written.

    Raises:
        StoreError: a file cannot be written.
    """
    written = []
    for game, tables in games.items():
        contents = {
            "md": text.markdown(tables).encode(),
            "csv": text.tidy_csv(tables).encode(),
            "png": table_image.png(tables),
        }
        for suffix, content in contents.items():
            path = out / game / f"{NAME}.{suffix}"
            with atomically(path) as temporary:
                temporary.write_bytes(content)
            written.append(path)
    return written


def print_comparison(games: dict[str, list[Table]], console: Console | None = None) -> None:
    """Print the tables of every game.

    Args:
        games: the tables of each game.
        console: where to print; standard output by default.
    """
    console = console or Console()
    for tables in games.values():
        console.print(text.terminal(tables, console))
