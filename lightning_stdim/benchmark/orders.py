"""How the methods stand: over games, by protocol, and by how variables are averaged."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations

from lightning_stdim.benchmark import statistics
from lightning_stdim.benchmark.arrays import cell, collect, common, ranked
from lightning_stdim.benchmark.record import Record
from lightning_stdim.benchmark.report.sheets import Block, Difference, Line, Sheet, Value
from lightning_stdim.benchmark.report.tables import display
from lightning_stdim.benchmark.statistics import Scores
from lightning_stdim.errors import ConfigurationError

MEANS = {
    "mean_over_categories": "over categories",
    "mean_over_variables": "over variables",
    "mean_weighted_by_entropy": "weighted by entropy",
}
"""The ways to average a game's variables, first the paper's."""


def over_games(scores: Mapping[str, Scores]) -> tuple[Sheet, Sheet]:
    """Lay out what Agarwal et al. 2021 (arXiv 2108.13264) ask for.

    Args:
        scores: of several games, from :func:`arrays.collect`.

    Returns:
        Aggregates over games by method, and the probability of improvement by pair of methods.
    """
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
    aggregates = Sheet(
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
    return aggregates, matrix


def by_protocol(paper: Mapping[str, Scores], converged: Mapping[str, Scores]) -> tuple[Sheet, str]:
    """Lay out every method under both protocols.

    Args:
        paper: scores under the ``paper`` protocol, from :func:`arrays.collect`.
        converged: the same under ``converged``.

    Returns:
        The sheet, and a sentence on whether the order of the methods depends on the protocol.
    """
    names = [name for name in ranked(converged) if name in paper]
    places = [_places(scores, names) for scores in (paper, converged)]
    blocks = []
    for name in names:
        cells = (
            *(cell(paper[name]), places[0][name]),
            *(cell(converged[name]), places[1][name]),
            _change(paper[name], converged[name]),
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


def by_mean(record: Record) -> tuple[Sheet, str]:
    """Lay out every method averaged in every way, under the ``converged`` protocol.

    Args:
        record: finished runs; old ones may lack the last way.

    Returns:
        The sheet, and a sentence on whether the order of the methods depends on the way.
    """
    scores = {mean: collect(record, "converged", mean) for mean in MEANS}
    scores = {mean: found for mean, found in scores.items() if found}
    names = ranked(scores["mean_over_categories"]) if scores else []
    places = {mean: _places(found, ranked(found)) for mean, found in scores.items()}
    blocks = []
    for name in names:
        cells: list[Value] = []
        for mean, found in scores.items():
            cells += [cell(found[name]) if name in found else None, places[mean].get(name)]
        blocks.append(Block(display(name), (Line("", tuple(cells)),)))
    columns = [word for mean in scores for word in (f"Mean {MEANS[mean]}", "Place")]
    sheet = Sheet("Ways to average, converged protocol", tuple(columns), tuple(blocks))
    ways = [
        {name: float(statistics.mean(found[name])) for name in ranked(found)}
        for found in scores.values()
    ]
    turned = {
        frozenset(pair): pair
        for a, b in combinations(ways, 2)
        for pair in statistics.reversals(a, b)
    }
    return sheet, _turned("the ways to average", len(names), list(turned.values()))


def _change(before: Scores, after: Scores) -> Difference | None:
    if not common(before, after):
        return None
    found = cell(after - before)
    return Difference(found.value, found.half_width, found.runs)


def _places(scores: Mapping[str, Scores], names: list[str]) -> dict[str, str]:
    order = sorted(names, key=lambda name: -float(statistics.mean(scores[name])))
    return {name: str(order.index(name) + 1) for name in names}


def _turned(what: str, methods: int, pairs: list[tuple[str, str]]) -> str:
    """Say whether the order of the methods depends on a choice."""
    total = methods * (methods - 1) // 2
    if not total:
        return ""
    if not pairs:
        return f"All {total} pairs of methods stand in the same order under {what}."
    shown = "; ".join(f"{display(a)} and {display(b)}" for a, b in pairs[:5])
    more = f" and {len(pairs) - 5} more" if len(pairs) > 5 else ""
    return (
        f"Of {total} pairs of methods {len(pairs)} change their order with {what}: {shown}{more}."
    )
