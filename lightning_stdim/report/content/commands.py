"""The commands that make a benchmark's runs, and its report, again."""

from __future__ import annotations

import shlex
from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from lightning_stdim.catalogue import method_named
from lightning_stdim.presets import FOLDER
from lightning_stdim.report.runs_on_disk import Record, Run
from lightning_stdim.runs.grid_record import GridRecord

PROGRAM = "python -m lightning_stdim"


class GridArguments(NamedTuple):
    """Arguments of ``benchmark`` that make a run, except for its game and seed."""

    preset: str
    method: str
    protocols: str


def commands(record: Record, folder: Path) -> list[str]:
    """Build the commands that make the runs with their preset's settings, and the report.

    Args:
        record: the runs.
        folder: the folder that the report is written to.

    Returns:
        The command lines.
    """
    seeds: dict[GridArguments, int] = {}
    games: dict[GridArguments, set[str]] = defaultdict(set)
    for run, found in _of_the_grid(record):
        seeds[found] = max(seeds.get(found, 0), run.key.seed + 1)
        games[found].add(run.key.game)
    alike_by: dict[tuple[str, int, str], list[GridArguments]] = defaultdict(list)
    for found, count in seeds.items():
        alike_by[found.preset, count, found.protocols].append(found)
    lines = []
    for (preset, count, protocols), alike in sorted(alike_by.items()):
        argv = ["--games", ",".join(sorted(set().union(*(games[found] for found in alike))))]
        argv += ["--methods", ",".join(found.method for found in alike), "--seeds", str(count)]
        argv += ["--preset", preset, *(["--protocols", protocols] if protocols else [])]
        argv += ["--out", str(record.out)]
        lines.append(f"{PROGRAM} benchmark {shlex.join(argv)}")
    argv = [str(record.out), *(["--methods", ",".join(record.chosen)] if record.chosen else [])]
    argv += ["--out", str(folder)] if folder != record.out else []
    return [*lines, f"{PROGRAM} report {shlex.join(argv)}"]


def made_otherwise(record: Record) -> bool:
    """Tell whether :func:`commands` does not make all runs.

    Args:
        record: the runs.

    Returns:
        True if a run differs from its preset, or was not made by a benchmark.
    """
    return len(list(_of_the_grid(record))) < len(record.runs)


def _of_the_grid(record: Record) -> Iterator[tuple[Run, GridArguments]]:
    """Find the runs that ``benchmark`` makes from a preset and a method's name alone."""
    grid = GridRecord.read(record.out)
    for run in record.runs:
        if "key" in run.results:
            found = _arguments_of(run, grid, record.out)
        else:
            found = _arguments_in_old_record(run)
        if found and not run.key.variant:
            yield run, found


def _arguments_of(run: Run, grid: GridRecord | None, out: Path) -> GridArguments | None:
    key = run.key
    if grid is None or run.folder != key.folder(out):
        return None
    method = grid.files.get(key.method, key.method)
    if method_named(method).needs == "file":
        return None
    protocols = next(iter(_values(run, "--protocols")), "")
    return GridArguments(grid.preset, method, protocols)


def _arguments_in_old_record(run: Run) -> GridArguments | None:
    """Read preset and method from the command of a run that was made before keys were stored."""
    configs = [Path(value) for value in _values(run, "--config")]
    # The package's own files, wherever it was installed, are known by the method's name.
    files = [str(path) for path in configs[1:] if path.parts[-3:-1] != ("configs", "methods")]
    method = next(iter(files + _values(run, "--model")), run.results["method"])
    encoders = set(_values(run, "--encoder"))
    if method_named(method).needs == "file" or encoders - {"random", "majority"}:
        return None
    presets = [*configs, *map(Path, _values(run, "--preset"))]
    presets.append(Path(run.results["preset"] or "laptop"))
    named_or_ours = not presets[0].suffix or presets[0].parent.name == "configs"
    shipped = named_or_ours and (FOLDER / f"{presets[0].stem}.yaml").is_file()
    return GridArguments(presets[0].stem if shipped else str(presets[0]), method, "")


def _values(run: Run, option: str) -> list[str]:
    """List the values that a run's command gives to an option."""
    return [
        value for word, value in pairwise(shlex.split(run.results["command"])) if word == option
    ]
