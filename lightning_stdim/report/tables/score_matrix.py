"""Scores as arrays: the runs of a benchmark by method, seed and game."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from lightning_stdim.catalogue import method_named
from lightning_stdim.report.names import Entry, in_order
from lightning_stdim.report.runs_on_disk import Record
from lightning_stdim.report.statistics import aggregates
from lightning_stdim.report.statistics.aggregates import ScoreMatrix
from lightning_stdim.report.statistics.student import stratified_mean_with_ci
from lightning_stdim.report.tables.comparison import ScoreCell
from lightning_stdim.report.tables.printable import Protocol, SignedCell, protocol_of


def score_matrix(
    record: Record, protocol: Protocol, mean: str = "mean_over_categories"
) -> dict[Entry, ScoreMatrix]:
    """Arrange F1 by method.

    Args:
        record: finished runs. If a game has several label sets, the first is taken.
        protocol: the protocol of the scores.
        mean: the way to average a game's variables, such as ``"mean_over_variables"``.

    Returns:
        For each method and variant that has a run of every game, and no run whose record lacks the
        score: float [seeds, games], NaN where a seed is missing. They are in the order in which
        tables list them.
    """
    seeds = sorted({run["seed"] for run in record.results})
    label_sets = {
        game: min(run.results["scores"]["label_set"] for run in record.of(game))
        for game in record.games
    }
    scores: dict[Entry, ScoreMatrix] = {}
    unknown: set[Entry] = set()  # a mean over its other seeds would flatter it
    for one in record.runs:
        run, entry = one.results, one.entry
        game, name = run["game"], protocol_of(entry.method, protocol)
        if run["scores"]["label_set"] != label_sets[game]:
            continue
        found = run["scores"]["protocols"].get(name)
        value: Any = found["f1"].get(mean) if found else None
        if one.lacks_scores(name):
            unknown.add(entry)
        if value is None:
            if found and mean in found["f1"]:  # old records lack the last way to average
                unknown.add(entry)
            continue
        empty = np.full((len(seeds), len(record.games)), np.nan)
        where = seeds.index(run["seed"]), record.games.index(game)
        scores.setdefault(entry, empty)[where] = value
    whole = [entry for entry, values in scores.items() if np.isfinite(values).any(0).all()]
    return {entry: scores[entry] for entry in in_order(whole) if entry not in unknown}


def ranked(scores: Mapping[Entry, ScoreMatrix]) -> list[Entry]:
    """Order the methods from the best to the worst, without the majority, which has no model.

    Args:
        scores: the result of :func:`score_matrix`.

    Returns:
        The methods, with their variants.
    """
    competing = [entry for entry in scores if method_named(entry.method).has_model]
    return sorted(competing, key=lambda entry: -float(aggregates.mean(scores[entry])))


def common(a: ScoreMatrix, b: ScoreMatrix) -> bool:
    """Tell whether two methods can be compared within seeds.

    Args:
        a: float [seeds, games].
        b: the same seeds and games.

    Returns:
        True if every game has a seed that both have.
    """
    return bool((np.isfinite(a) & np.isfinite(b)).any(axis=0).all())


def cell(scores: ScoreMatrix) -> ScoreCell:
    """Compute the mean over seeds and games.

    Args:
        scores: float [seeds, games], at least one run of every game.

    Returns:
        The mean, with a Student interval.
    """
    found = stratified_mean_with_ci([game[np.isfinite(game)].tolist() for game in scores.T])
    return ScoreCell(found.mean, found.half_width, found.runs)


def change(before: ScoreMatrix, after: ScoreMatrix) -> SignedCell | None:
    """Compare two sets of runs within seeds.

    Args:
        before: float [seeds, games].
        after: the same seeds and games.

    Returns:
        The mean of after - before, with a Student interval; None where a game has no seed that
        both have.
    """
    if not common(before, after):
        return None
    found = cell(after - before)
    return SignedCell(found.value, found.half_width, found.runs)
