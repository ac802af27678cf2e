"""What the numbers say: in words, over games, by protocol and by how they are averaged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

from lightning_stdim.benchmark import statistics
from lightning_stdim.benchmark.intervals import stratified_estimate
from lightning_stdim.benchmark.record import Record
from lightning_stdim.benchmark.sheets import (
    Block,
    Difference,
    Line,
    Protocol,
    Sheet,
    Value,
    protocol_of,
)
from lightning_stdim.benchmark.statistics import Scores
from lightning_stdim.benchmark.tables import Cell, display, in_order
from lightning_stdim.errors import ConfigurationError

MEANS = {
    "mean_over_categories": "over categories",
    "mean_over_variables": "over variables",
    "mean_weighted_by_entropy": "weighted by entropy",
}
"""The ways to average a game's variables, first the paper's."""


@dataclass(frozen=True)
class Summary:
    """The page's first part.

    Attributes:
        paragraphs: what the numbers say, in words.
        verdicts: the leading method against each other one, a sentence each.
        aggregates: tables over several games; none for one game.
        protocols: every method under both protocols, and what to note about it.
        means: every method averaged in every way, and what to note about it.
    """

    paragraphs: tuple[str, ...]
    verdicts: tuple[str, ...]
    aggregates: tuple[Sheet, ...]
    protocols: tuple[Sheet, str]
    means: tuple[Sheet, str]


def summarise(record: Record) -> Summary:
    """Sum up a benchmark.

    Args:
        record: finished runs.

    Returns:
        Words and tables.
    """
    converged, paper = (collect(record, protocol) for protocol in ("converged", "paper"))
    games = [game.capitalize() for game in record.games]
    seeds = sorted({run["seed"] for run in record.results})
    presets = sorted({run["preset"] or "none" for run in record.results})
    where = games[0] if len(games) == 1 else f"{len(games)} games"
    opening = (
        f"{len(converged)} methods on {where}; preset {', '.join(presets)}; "
        f"seed{'s' * (len(seeds) > 1)} {', '.join(map(str, seeds))}. Scores are F1 weighted by "
        "class support, means over categories as in the paper's tables."
    )
    left_out = in_order({run.name for run in record.runs} - converged.keys())
    paragraphs = [opening, _leader(converged, "converged"), _leader(paper, "paper")]
    if left_out:
        names = "; ".join(display(name) for name in left_out)
        paragraphs.append(f"Not compared over games, since not every game has a run: {names}.")
    return Summary(
        paragraphs=tuple(filter(None, paragraphs)),
        verdicts=tuple(_verdicts(converged)),
        aggregates=tuple(_aggregates(converged)) if len(games) > 1 else (),
        protocols=_protocols(paper, converged),
        means=_means(record),
    )


def collect(
    record: Record, protocol: Protocol, mean: str = "mean_over_categories"
) -> dict[str, Scores]:
    """Arrange F1 by method.

    Args:
        record: finished runs. Of a game's label sets the first is taken.
        protocol: whose scores.
        mean: which of a game's means, a key of MEANS.

    Returns:
        For each method that has a run of every game float [seeds, games], NaN where one is
        missing; in the order of the display.
    """
    seeds = sorted({run["seed"] for run in record.results})
    label_sets = {
        game: min(run.results["scores"]["label_set"] for run in record.of(game))
        for game in record.games
    }
    scores: dict[str, Scores] = {}
    for run, name in ((run.results, run.name) for run in record.runs):
        game = run["game"]
        found = run["scores"]["protocols"].get(protocol_of(name, protocol))
        value: Any = found["f1"].get(mean) if found else None
        if value is None or run["scores"]["label_set"] != label_sets[game]:
            continue
        empty = np.full((len(seeds), len(record.games)), np.nan)
        where = seeds.index(run["seed"]), record.games.index(game)
        scores.setdefault(name, empty)[where] = value
    whole = [name for name, values in scores.items() if np.isfinite(values).any(0).all()]
    return {name: scores[name] for name in in_order(whole)}


def _leader(scores: Mapping[str, Scores], protocol: str) -> str:
    """Say which method leads, and against which ones the seeds that were run do not show it."""
    ranked = _ranked(scores)
    if len(ranked) < 2:
        return ""
    best, *others = ranked
    differences = {name: _difference(scores, best, name) for name in others}
    compared = {name: d for name, d in differences.items() if d is not None}
    open_ones = [name for name, d in compared.items() if not d.resolved]
    cell = _cell(scores[best])
    interval = "" if cell.half_width is None else f" ± {cell.half_width:.2f}"
    text = f"Under the {protocol} protocol {display(best)} leads with {cell.value:.2f}{interval}."
    if not compared or not any(d.known for d in compared.values()):
        return f"{text} With a single seed nothing can be said about whether that is chance."
    if not open_ones:
        return f"{text} It is ahead of every other method by more than the seeds differ."
    names = "; ".join(display(name) for name in open_ones)
    many = f"{len(open_ones)} of the {len(compared)} others"
    return f"{text} The runs do not resolve its lead over {many}: {names}."


def _verdicts(scores: Mapping[str, Scores]) -> list[str]:
    best, *others = _ranked(scores) or [""]
    found = {name: _difference(scores, best, name) for name in others}
    return [
        statistics.verdict(display(best), display(name), difference) + "."
        for name, difference in found.items()
        if difference is not None
    ]


def _difference(scores: Mapping[str, Scores], a: str, b: str) -> statistics.Difference | None:
    """Compare two methods; None where a game has no seed that both have."""
    common = np.isfinite(scores[a]) & np.isfinite(scores[b])
    if not common.any(0).all():
        return None
    return statistics.paired_difference(scores[a], scores[b])


def _ranked(scores: Mapping[str, Scores]) -> list[str]:
    """Order the methods from the best to the worst; the majority competes with nobody."""
    names = [name for name in scores if name != "majority"]
    return sorted(names, key=lambda name: -float(statistics.mean(scores[name])))


def _cell(scores: Scores) -> Cell:
    """Average over seeds and games, with a Student interval."""
    found = stratified_estimate([game[np.isfinite(game)].tolist() for game in scores.T])
    return Cell(found.mean, found.half_width, found.runs)


def _change(differences: Scores) -> Difference:
    cell = _cell(differences)
    return Difference(cell.value, cell.half_width, cell.runs)


def _aggregates(scores: Mapping[str, Scores]) -> list[Sheet]:
    """Lay out what Agarwal et al. ask for: aggregates over games, and pairs of methods."""
    names = list(scores)
    try:
        ranks = statistics.average_ranks(scores)
    except ConfigurationError:  # no seed is common to all
        ranks = {}
    blocks = []
    for name in names:
        cells: list[Value] = [
            statistics.bootstrap(statistics.interquartile_mean, scores[name]),
            statistics.bootstrap(statistics.mean, scores[name]),
            ranks.get(name),
        ]
        blocks.append(Block(display(name), (Line("", tuple(cells)),)))
    over_games = Sheet(
        "Over all games, converged protocol",
        ("Interquartile mean", "Mean", "Average rank"),
        tuple(blocks),
        (
            "In brackets 95 % stratified bootstrap intervals over the runs of every game, which "
            "are too narrow with few seeds (docs/statistics.md).",
        ),
    )
    pairs = {}
    for a, b in combinations(names, 2):
        found = statistics.bootstrap(statistics.probability_of_improvement, scores[a], scores[b])
        pairs[a, b] = found
        pairs[b, a] = statistics.Interval(1 - found.value, 1 - found.high, 1 - found.low)
    matrix = Sheet(
        "Probability of improvement, converged protocol",
        tuple(display(name) for name in names),
        tuple(
            Block(display(a), (Line("", tuple(pairs.get((a, b), "") for b in names)),))
            for a in names
        ),
        ("How probably a run of the row's method is ahead of one of the column's.",),
    )
    return [over_games, matrix]


def _protocols(paper: Mapping[str, Scores], converged: Mapping[str, Scores]) -> tuple[Sheet, str]:
    names = [name for name in _ranked(converged) if name in paper]
    places = [_places(scores, names) for scores in (paper, converged)]
    blocks = []
    for name in names:
        cells = (
            *(_cell(paper[name]), places[0][name]),
            *(_cell(converged[name]), places[1][name]),
            _change(converged[name] - paper[name]),
        )
        blocks.append(Block(display(name), (Line("", cells),)))
    sheet = Sheet(
        "The same features under both protocols",
        ("Paper", "Place", "Converged", "Place", "Converged − paper, same run"),
        tuple(blocks),
        (
            "Supervised under paper is the network end to end, under converged a probe of its "
            "encoder.",
        ),
    )
    means = [
        {name: float(statistics.mean(scores[name])) for name in names}
        for scores in (paper, converged)
    ]
    return sheet, _turned("the two protocols", len(names), statistics.reversals(*means))


def _means(record: Record) -> tuple[Sheet, str]:
    scores = {mean: collect(record, "converged", mean) for mean in MEANS}
    scores = {mean: found for mean, found in scores.items() if found}  # old runs lack the last
    names = _ranked(scores["mean_over_categories"]) if scores else []
    places = {mean: _places(found, _ranked(found)) for mean, found in scores.items()}
    blocks = []
    for name in names:
        cells: list[Value] = []
        for mean, found in scores.items():
            cells += [_cell(found[name]) if name in found else None, places[mean].get(name)]
        blocks.append(Block(display(name), (Line("", tuple(cells)),)))
    columns = [word for mean in scores for word in (f"Mean {MEANS[mean]}", "Place")]
    sheet = Sheet("Ways to average, converged protocol", tuple(columns), tuple(blocks))
    ways = [
        {name: float(statistics.mean(found[name])) for name in _ranked(found)}
        for found in scores.values()
    ]
    turned = {
        frozenset(pair): pair
        for a, b in combinations(ways, 2)
        for pair in statistics.reversals(a, b)
    }
    return sheet, _turned("the ways to average", len(names), list(turned.values()))


def _places(scores: Mapping[str, Scores], names: list[str]) -> dict[str, str]:
    order = sorted(names, key=lambda name: -float(statistics.mean(scores[name])))
    return {name: str(order.index(name) + 1) for name in names}


def _turned(what: str, methods: int, pairs: list[tuple[str, str]]) -> str:
    """Say whether the order of the methods depends on a choice."""
    total = methods * (methods - 1) // 2
    if not pairs:
        return f"All {total} pairs of methods stand in the same order under {what}."
    shown = "; ".join(f"{display(a)} and {display(b)}" for a, b in pairs[:5])
    more = f" and {len(pairs) - 5} more" if len(pairs) > 5 else ""
    return (
        f"Of {total} pairs of methods {len(pairs)} change their order with {what}: {shown}{more}."
    )
