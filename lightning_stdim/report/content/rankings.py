"""Rankings of the methods: over games, by protocol, and by how variables are averaged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations

from lightning_stdim.errors import ConfigurationError
from lightning_stdim.report.names import GROUPS, Entry, Group
from lightning_stdim.report.runs_on_disk import Record
from lightning_stdim.report.statistics import aggregates
from lightning_stdim.report.statistics.aggregates import ScoreMatrix
from lightning_stdim.report.tables.comparison import ScoreCell
from lightning_stdim.report.tables.printable import Block, Line, Protocol, Sheet, Value
from lightning_stdim.report.tables.score_matrix import cell, change, common, ranked, score_matrix
from lightning_stdim.utils.counted import counted

MEANS = {
    "mean_over_categories": "over categories",
    "mean_over_variables": "over variables",
    "mean_weighted_by_entropy": "weighted by entropy",
}
"""The ways to average a game's variables, first the paper's."""


def over_games(scores: Mapping[Entry, ScoreMatrix], protocol: Protocol) -> tuple[Sheet, Sheet]:
    """Lay out the aggregates that Agarwal et al. 2021 (arXiv 2108.13264) recommend.

    Args:
        scores: scores on several games, from :func:`score_matrix`.
        protocol: the protocol of the scores.

    Returns:
        Aggregates over games by method, and the probability of improvement by pair of methods.
    """
    entries = list(scores)
    try:
        ranks = aggregates.average_ranks({entry: scores[entry] for entry in ranked(scores)})
    except ConfigurationError:  # no seed is common to all
        ranks = {}
    blocks, known = [], False
    for entry in entries:
        middle = aggregates.bootstrap(aggregates.interquartile_mean, scores[entry])
        mean = aggregates.bootstrap(aggregates.mean, scores[entry])
        known = known or mean.known
        blocks.append(Block(entry.title, (Line("", (middle, mean, ranks.get(entry))),)))
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
            f"{intervals} Ranks are over the seeds that all methods have, and leave out the "
            "majority.",
        ),
    )
    pairs = {}
    for a, b in combinations(entries, 2):
        found = aggregates.bootstrap(aggregates.probability_of_improvement, scores[a], scores[b])
        pairs[a, b] = found
        pairs[b, a] = aggregates.Interval(1 - found.value, 1 - found.high, 1 - found.low)
    matrix = Sheet(
        f"Probability of improvement, {protocol} protocol",
        tuple(entry.title for entry in entries),
        tuple(
            Block(a.title, (Line("", tuple(pairs.get((a, b), "") for b in entries)),))
            for a in entries
        ),
        ("The probability that a run of the row's method is ahead of one of the column's.",),
    )
    return summary, matrix


def by_protocol(
    paper: Mapping[Entry, ScoreMatrix],
    converged: Mapping[Entry, ScoreMatrix],
    published: Mapping[Entry, ScoreCell],
    group: Group = "paper",
) -> tuple[Sheet, str]:
    """Lay out every method under both protocols.

    Args:
        paper: scores under the ``paper`` protocol, from :func:`score_matrix`.
        converged: the same under ``converged``.
        published: the paper's scores of the same methods.
        group: the origin of the published scores.

    Returns:
        The sheet, and a sentence on whether the order of the methods depends on the protocol.
    """
    entries = [entry for entry in ranked(converged) if entry in paper]
    places = [_places(scores, entries) for scores in (paper, converged)]
    blocks = []
    for entry in entries:
        mean = cell(converged[entry])
        cells: tuple[Value, ...] = (
            str(mean.runs),
            *(cell(paper[entry]), places[0][entry]),
            *(mean, places[1][entry]),
            change(paper[entry], converged[entry]),
            *([published.get(entry)] if published else []),
        )
        blocks.append(Block(entry.title, (Line("", cells),)))
    columns = (
        "Runs",
        *("Paper protocol", "Place"),
        *("Converged protocol", "Place"),
        "Converged − paper protocol, same run",
        *([GROUPS[group].capitalize().replace("ppo", "PPO")] if published else []),
    )
    sheet = Sheet(
        "The same features under both protocols",
        columns,
        tuple(blocks),
        (
            "Supervised is the network end to end under the paper protocol, and a probe of its "
            "encoder under the converged protocol.",
        ),
    )
    return sheet, _turned("the two protocols", entries, (paper, converged))


def by_mean(record: Record) -> tuple[Sheet, str]:
    """Lay out every method averaged in every way, under the ``converged`` protocol.

    Args:
        record: finished runs; old ones may lack the last way to average.

    Returns:
        The sheet, and a sentence on whether the order of the methods depends on the way.
    """
    scores = {mean: score_matrix(record, "converged", mean) for mean in MEANS}
    scores = {mean: found for mean, found in scores.items() if found}
    entries = ranked(scores["mean_over_categories"]) if scores else []
    places = {mean: _places(found, ranked(found)) for mean, found in scores.items()}
    blocks = []
    for entry in entries:
        cells: list[Value] = []
        for mean, found in scores.items():
            cells += [cell(found[entry]) if entry in found else None, places[mean].get(entry)]
        blocks.append(Block(entry.title, (Line("", tuple(cells)),)))
    columns = [word for mean in scores for word in (f"Mean {MEANS[mean]}", "Place")]
    sheet = Sheet("Ways to average, converged protocol", tuple(columns), tuple(blocks))
    return sheet, _turned("the ways to average", entries, list(scores.values()))


def _places(scores: Mapping[Entry, ScoreMatrix], entries: Sequence[Entry]) -> dict[Entry, str]:
    """Rank the methods; equal ones share a place."""
    means = {entry: float(aggregates.mean(scores[entry])) for entry in entries}
    return {
        entry: str(1 + sum(other > mean for other in means.values()))
        for entry, mean in means.items()
    }


def _turned(
    what: str, entries: Sequence[Entry], ways: Sequence[Mapping[Entry, ScoreMatrix]]
) -> str:
    """Say whether the order of the methods depends on a choice, and whether the runs resolve it."""
    total = len(entries) * (len(entries) - 1) // 2
    if not total:
        return ""
    resolved: dict[frozenset[Entry], str] = {}  # the two in words if they are, else ""
    for first, second in combinations(ways, 2):
        means = [
            {one: float(aggregates.mean(way[one])) for one in entries if one in way}
            for way in (first, second)
        ]
        for a, b in aggregates.reversals(*means):
            both = _ahead(first, a, b) and _ahead(second, b, a)
            words = f"{a.title} and {b.title}" if both else ""
            resolved[frozenset((a, b))] = resolved.get(frozenset((a, b))) or words
    if not resolved:
        pairs = "The two methods" if total == 1 else f"All {total} pairs of methods"
        return f"{pairs} stand in the same order under {what}."
    shown = list(filter(None, resolved.values()))
    verb = "changes" if len(resolved) == 1 else "change"
    text = f"Of {counted(total, 'pair')} of methods {len(resolved)} {verb} order between {what}. "
    if not shown:
        return f"{text}The runs do not resolve both orders of any: it may be chance."
    more = f" and {len(shown) - 5} more" if len(shown) > 5 else ""
    return f"{text}Of {len(shown)} the runs resolve both orders: {'; '.join(shown[:5])}{more}."


def _ahead(scores: Mapping[Entry, ScoreMatrix], a: Entry, b: Entry) -> bool:
    """Tell whether the runs resolve that a method is ahead of another."""
    if not common(scores[a], scores[b]):
        return False
    return aggregates.paired_difference(scores[a], scores[b]).low > 0
