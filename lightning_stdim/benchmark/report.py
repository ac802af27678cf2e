"""From a directory of finished runs to the comparison tables on the screen and on disk."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from lightning_stdim.benchmark import picture, render
from lightning_stdim.benchmark.results import FILE, Results, read_results
from lightning_stdim.benchmark.tables import METRICS, compare
from lightning_stdim.errors import StoreError
from lightning_stdim.files import atomically

NAME = "comparison"


def load(out: str | Path) -> list[Results]:
    """Read every results file of a benchmark.

    Args:
        out: the benchmark's directory.

    Returns:
        The results, ordered by path.

    Raises:
        StoreError: there is none, or one cannot be read.
    """
    paths = sorted(Path(out).rglob(FILE))
    if not paths:
        raise StoreError(f"{out} holds no {FILE}: no run has finished there")
    return [read_results(path) for path in paths]


def write_report(
    out: str | Path, console: Console | None = None, *, mixed_label_sets: bool = False
) -> list[Path]:
    """Print the tables of every game, and write them as Markdown, CSV and PNG.

    Args:
        out: the benchmark's directory; the files are ``<game>/comparison.{md,csv,png}`` in it.
        console: where to print; standard output by default.
        mixed_label_sets: compare results of different label sets, and published numbers with
            results for other label sets than the paper's.

    Returns:
        The files written.

    Raises:
        ConfigurationError: a game's results are for different label sets, and that was not asked
            for.
        StoreError: there are no results, or a file cannot be written.
    """
    console = console or Console()
    results = load(out)
    written = []
    for game in sorted({result["game"] for result in results}):
        tables = [
            compare(results, game=game, metric=metric, mixed_label_sets=mixed_label_sets)
            for metric in METRICS
        ]
        console.print(render.terminal(tables, console))
        contents = {
            "md": render.markdown(tables).encode(),
            "csv": render.tidy_csv(tables).encode(),
            "png": picture.png(tables),
        }
        for suffix, content in contents.items():
            path = Path(out) / game / f"{NAME}.{suffix}"
            with atomically(path) as temporary:
                temporary.write_bytes(content)
            written.append(path)
    return written
