"""How the methods stand: over games, by protocol, and by how variables are averaged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations

from lightning_stdim.errors import ConfigurationError
from lightning_stdim.report.names import display
from lightning_stdim.report.runs_on_disk import Record
from lightning_stdim.report.statistics import aggregates
from lightning_stdim.report.statistics.aggregates import ScoreMatrix
from lightning_stdim.report.tables.comparison import ScoreCell
from lightning_stdim.report.tables.printable import Block, Line, Protocol, Sheet, Value
from lightning_stdim.report.tables.score_matrix import cell, change, common, ranked, score_matrix

MEANS = {
    "mean_over_categories": "over categories",
    "mean_over_variables": "over variables",
    "mean_weighted_by_entropy": "weighted by entropy",
}
"""The ways to average a game's variables, first the paper's."""


def over_games(scores: Mapping[str, ScoreMatrix], protocol: Protocol) -> tuple[Sheet, Sheet]:
    """Lay out what Agarwal et al. 2021 (arXiv 2108.13264) ask for.

    Args:
        scores: of several games, from :func:`arrays.collect`.
        protocol: whose they are.

    Returns:
        Aggregates over games by method, and the probability of improvement by pair of methods.
    """
    names = list(scores)
    try:
        ranks = aggregates.average_ranks({name: scores[name] for name in ranked(scores)})
    except ConfigurationError:  # no seed is common to all
        ranks = {}
    blocks, known = [], False
    for name in names:
        middle = aggregates.bootstrap(aggregates.interquartile_mean, scores[name])
        mean = aggregates.bootstrap(aggregates.mean, scores[name])
        known = known or mean.known
        blocks.append(Block(display(name), (Line("", (middle, mean, ranks.get(name))),)))
    intervals = (
        "In brackets 95 % stratified bootstrap intervals over the runs of every game, which are "
        "too narrow with few seeds (docs/statistics.md)."
        if known
        else "Intervals would need several seeds of every game."
    )
    summary = Sheet(
        f"Over all games, {protocol} protocol",
        ("Interquartile mean", "Mean", "Average rank"),
        tuple(blocks),
        (
            f"{intervals} Ranks are over the seeds that all methods have; the majority competes "
            "with nobody.",
        ),
    )
    pairs = {}
    for a, b in combinations(names, 2):
        found = aggregates.bootstrap(aggregates.probability_of_improvement, scores[a], scores[b])
        pairs[a, b] = found
        pairs[b, a] = aggregates.Interval(1 - found.value, 1 - found.high, 1 - found.low)
    matrix = Sheet(
        f"Probability of improvement, {protocol} protocol",
        tuple(display(name) for name in names),
        tuple(
            Block(display(a), (Line("", tuple(pairs.get((a, b), "") for b in names)),))
            for a in names
        ),
        ("How probably a run of the row's method is ahead of one of the column's.",),
    )
    return summary, matrix


def by_protocol(
    paper: Mapping[str, ScoreMatrix],
    converged: Mapping[str, ScoreMatrix],
    published: Mapping[str, ScoreCell],
) -> tuple[Sheet, str]:
    """Lay out every method under both protocols.

    Args:
        paper: scores under the ``paper`` protocol, from :func:`arrays.collect`.
        converged: the same under ``converged``.
        published: what the paper has of them.

    Returns:
        The sheet, and a sentence on whether the order of the methods depends on the protocol.
    """
    names = [name for name in ranked(converged) if name in paper]
    places = [_places(scores, names) for scores in (paper, converged)]
    blocks = []
    for name in names:
        mean = cell(converged[name])
        cells: tuple[Value, ...] = (
            str(mean.runs),
            *(cell(paper[name]), places[0][name]),
            *(mean, places[1][name]),
            change(paper[name], converged[name]),
            *([published.get(name)] if published else []),
        )
        blocks.append(Block(display(name), (Line("", cells),)))
    columns = (
        "Runs",
        *("Paper protocol", "Place"),
        *("Converged protocol", "Place"),
        "Converged − paper, same run",
        *(["Published in the paper"] if published else []),
    )
    sheet = Sheet(
        "The same features under both protocols",
        columns,
        tuple(blocks),
        (
            "Supervised under paper is the network end to end, under converged a probe of its "
            "encoder.",
        ),
    )
    return sheet, _turned("the two protocols", names, (paper, converged))


def by_mean(record: Record) -> tuple[Sheet, str]:
    """Lay out every method averaged in every way, under the ``converged`` protocol.

    Args:
        record: finished runs; old ones may lack the last way.

    Returns:
        The sheet, and a sentence on whether the order of the methods depends on the way.
    """
    scores = {mean: score_matrix(record, "converged", mean) for mean in MEANS}
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
    return sheet, _turned("the ways to average", names, list(scores.values()))


def _places(scores: Mapping[str, ScoreMatrix], names: Sequence[str]) -> dict[str, str]:
    """Count who is ahead; equal ones share a place."""
    means = {name: float(aggregates.mean(scores[name])) for name in names}
    return {
        name: str(1 + sum(other > mean for other in means.values())) for name, mean in means.items()
    }


def _turned(what: str, names: Sequence[str], ways: Sequence[Mapping[str, ScoreMatrix]]) -> str:
    """Say whether the order of the methods depends on a choice, and whether the runs resolve it."""
    total = len(names) * (len(names) - 1) // 2
    if not total:
        return ""
    resolved: dict[frozenset[str], str] = {}  # the two in words if they are, else ""
    for first, second in combinations(ways, 2):
        means = [
            {name: float(aggregates.mean(way[name])) for name in names if name in way}
            for way in (first, second)
        ]
        for a, b in aggregates.reversals(*means):
            both = _ahead(first, a, b) and _ahead(second, b, a)
            words = f"{display(a)} and {display(b)}" if both else ""
            resolved[frozenset((a, b))] = resolved.get(frozenset((a, b))) or words
    if not resolved:
        return f"All {total} pairs of methods stand in the same order under {what}."
    shown = list(filter(None, resolved.values()))
    verb = "changes its" if len(resolved) == 1 else "change their"
    text = f"Of {total} pairs of methods {len(resolved)} {verb} order with {what}. "
    if not shown:
        return f"{text}The runs do not resolve both orders of any: it may be chance."
    more = f" and {len(shown) - 5} more" if len(shown) > 5 else ""
    return f"{text}Of {len(shown)} the runs resolve both orders: {'; '.join(shown[:5])}{more}."


def _ahead(scores: Mapping[str, ScoreMatrix], a: str, b: str) -> bool:
    """Tell whether the runs resolve that a method is ahead of another."""
    if not common(scores[a], scores[b]):
        return False
    return aggregates.paired_difference(scores[a], scores[b]).low > 0
