"""The comparison table of one game: our methods beside the published numbers.

This module chooses rows, columns and cells; :mod:`lightning_stdim.report.output` draws them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import pairwise
from typing import Any, Literal

from lightning_stdim.catalogue import DEFAULT_COMPARISON
from lightning_stdim.datamodules.labels.annotations import CATEGORIES
from lightning_stdim.errors import ConfigurationError
from lightning_stdim.report import published
from lightning_stdim.report.names import (
    CATEGORY_LABELS,
    METRICS,
    PROTOCOLS,
    REPORT_F1,
    Entry,
    Group,
    in_order,
    sort_key,
)
from lightning_stdim.report.published import Agent
from lightning_stdim.report.runs_on_disk import (
    collected_by,
    entry_of,
    label_set_of,
    preset_in_words,
    several_presets,
)
from lightning_stdim.report.statistics.student import mean_with_ci
from lightning_stdim.report.tables.notes import (
    PUBLISHED_LABELS,
    budget_of,
    notes_of,
    published_budget,
)
from lightning_stdim.runs.key import RunKey
from lightning_stdim.runs.results import Metric, MetricScores, Results

MOST_METHODS = 6
"""Number of our methods that fit on a page, under two protocols and beside published numbers."""


@dataclass(frozen=True)
class ScoreCell:
    """One number of the table.

    Attributes:
        value: the score, a mean over runs.
        half_width: half the width of its 95 % interval; None for a single run.
        runs: number of runs that the mean is over; None for a published number.
        derived: whether the number is computed from printed ones, and in no published table.
        values: every run's score; empty for a published number.
    """

    value: float
    half_width: float | None = None
    runs: int | None = None
    derived: bool = False
    values: tuple[float, ...] = ()


@dataclass(frozen=True)
class Row:
    """The quantity that one line of the table shows.

    Attributes:
        kind: a category, a mean or a variable.
        name: as in the results file.
        label: as printed.
    """

    kind: Literal["category", "mean", "variable"]
    name: str
    label: str

    @property
    def part(self) -> str:
        """The key of MetricScores that this row's score is under."""
        parts = {"category": "categories", "variable": "variables"}
        return parts.get(self.kind, self.name)

    def pick(self, scores: MetricScores) -> float | None:
        """Pick this row's score.

        Args:
            scores: one metric under one protocol.

        Returns:
            The score, or None if there is none.
        """
        found: Any = scores.get(self.part)
        score: float | None = found if self.kind == "mean" else found.get(self.name)
        return score

    def lacks(self, scores: MetricScores) -> bool:
        """Tell a score that is null from one that was never to be given, as of a dropped variable.

        Args:
            scores: one metric under one protocol.

        Returns:
            True if this row has a place among the scores, but no number.
        """
        there: Any = scores if self.kind == "mean" else scores.get(self.part)
        return self.name in there and there[self.name] is None


@dataclass(frozen=True)
class Column:
    """One method under one protocol, or one published method.

    Attributes:
        group: the origin of the numbers.
        method: such as ``"st-dim"``.
        protocol: such as ``"converged"``; empty for published numbers.
        labels: the label set and its version, such as ``"paper 1"``.
        budget: what the numbers cost, as text by the names in BUDGET_ROWS; an entry that is not
            known is absent.
        variant: how our runs differ from their preset; for published numbers, how the runs beside
            them do. May be empty.
        metric: the metric of the numbers, if it is not the table's: REPORT_F1, in a table of F1.
        split: the split of the frames that the numbers are on, such as ``"test"``.
    """

    group: Group
    method: str
    protocol: str = ""
    labels: str = PUBLISHED_LABELS
    budget: dict[str, str] = field(default_factory=dict)
    variant: str = ""
    metric: str = ""
    split: str = "test"

    @property
    def title(self) -> str:
        """The method's display name, and the variant."""
        return self.entry.title

    @property
    def entry(self) -> Entry:
        """The method and the variant."""
        return Entry(self.method, self.variant)

    @property
    def subtitle(self) -> str:
        """The display names of the protocol, the metric and the split, where they are not usual."""
        metric = "challenge report's F1" if self.metric == REPORT_F1 else ""
        split = self.split if self.split != "test" else ""
        return ", ".join(filter(None, (PROTOCOLS.get(self.protocol, self.protocol), metric, split)))

    @property
    def scored_by(self) -> str:
        """The protocol, and the metric if it is not the table's, such as "challenge report_f1"."""
        return " ".join(filter(None, (self.protocol, self.metric)))


@dataclass(frozen=True)
class Table:
    """The comparison of one metric on one game.

    Attributes:
        game: canonical name.
        metric: ``"f1"`` or ``"accuracy"``.
        rows: categories, means, variables, in this order.
        columns: by group, in the order of GROUPS.
        cells: a tuple of cells for every row, one for every column; None where there is no number.
        notes: what a reader must know beside the numbers, a sentence or two each.
        part: which part of a wide table this is, such as ``"part 1 of 2"``; empty for a whole
            table.
    """

    game: str
    metric: Metric
    rows: tuple[Row, ...]
    columns: tuple[Column, ...]
    cells: tuple[tuple[ScoreCell | None, ...], ...]
    notes: tuple[str, ...]
    part: str = ""

    @property
    def title(self) -> str:
        """The caption in one line."""
        return ", ".join(filter(None, (f"{self.game}: {METRICS[self.metric]}", self.part)))

    def parts(self) -> list[Table]:
        """Split a table that is too wide for a page.

        Returns:
            Parts of about equal width. Each has all rows, the columns of some methods, and beside
            every variant of a method its published columns. A table of at most MOST_METHODS
            methods is not split.
        """
        ours = [column for column in self.columns if column.group == "ours"]
        entries = list(dict.fromkeys(column.entry for column in [*ours, *self.columns]))
        count = -(-len(entries) // MOST_METHODS)
        if count == 1:
            return [self]
        ends = [len(entries) * k // count for k in range(count + 1)]
        parts = []
        for k, (first, end) in enumerate(pairwise(ends)):
            here = entries[first:end]
            methods = {column.method for column in ours if column.entry in here}
            chosen = [
                i
                for i, column in enumerate(self.columns)
                if column.entry in here or (column.group != "ours" and column.method in methods)
            ]
            parts.append(
                replace(
                    self,
                    columns=tuple(self.columns[i] for i in chosen),
                    cells=tuple(tuple(cells[i] for i in chosen) for cells in self.cells),
                    part=f"part {k + 1} of {count}",
                )
            )
        return parts


def compare(
    results: Sequence[Results],
    *,
    game: str,
    metric: Metric,
    mixed_label_sets: bool = False,
    paper_agent: Agent | None = None,
) -> Table:
    """Lay out our results beside the published ones.

    Another label set, or another version of one, is another task. So results for different label
    sets are refused, and the published numbers, which are for the paper's label set, are shown only
    beside results for that one. If label sets may be mixed, each has columns of its own, and the
    table says which column is for which.

    The paper's numbers depend on who played while its frames were collected. If a trained agent
    collected our frames, they are the numbers for the paper's PPO agent, and stand beside the runs
    that were trained on the same kind of frames that they are probed on.

    Runs of different presets are different entries, with the preset in the variant.

    Args:
        results: results of any games, methods and seeds. If they are of several presets, every
            variant names its own, also in the table of a game that has runs of one alone.
        game: canonical name of the game to compare on.
        metric: ``"f1"`` or ``"accuracy"``.
        mixed_label_sets: whether label sets may be mixed.
        paper_agent: the agent whose frames the paper's numbers are for; by default as said above.

    Returns:
        The table.

    Raises:
        ValueError: there are no results for the game.
        ConfigurationError: the results are for different label sets, which may not be mixed.
    """
    runs = [result for result in results if result["game"] == game]
    if not runs:
        raise ValueError(f"no results for {game}")
    label_sets = sorted({label_set_of(run) for run in runs})
    if len(label_sets) > 1 and not mixed_label_sets:
        raise ConfigurationError(
            f"the results for {game} are for different label sets ({', '.join(label_sets)}), which "
            "are different tasks: keep them in different directories, or compare them all the same "
            "with --mixed_label_sets"
        )
    comparable = mixed_label_sets or label_sets == [PUBLISHED_LABELS]

    several = several_presets(results)
    sources = list(_ours(runs, metric, several))
    beside = _beside(runs, paper_agent, several) if comparable else {}
    for group, entries in beside.items():
        sources += _published(game, metric, group, entries)
    there = {source.column.group for source in sources} - {"ours"} if comparable else None
    rows = rows_of([scores for source in sources for scores in source.scores])
    return Table(
        game=game,
        metric=metric,
        rows=rows,
        columns=tuple(source.column for source in sources),
        cells=tuple(tuple(source.cell(row) for source in sources) for row in rows),
        notes=notes_of(runs, there),
    )


@dataclass(frozen=True)
class _Source:
    """A column and the scores, one for every run, that fill it."""

    column: Column
    scores: list[MetricScores]
    derived: frozenset[str] = frozenset()

    def cell(self, row: Row) -> ScoreCell | None:
        known = [value for scores in self.scores if (value := row.pick(scores)) is not None]
        # A mean over the other seeds would flatter or wrong the method.
        if not known or any(row.lacks(scores) for scores in self.scores):
            return None
        if self.column.group != "ours":
            return ScoreCell(known[0], derived=row.part in self.derived)
        mean = mean_with_ci(known)
        return ScoreCell(mean.mean, mean.half_width, mean.runs, values=tuple(known))


def _ours(runs: Sequence[Results], metric: Metric, presets: bool) -> Iterator[_Source]:
    kinds: dict[Entry, dict[str, list[Results]]] = defaultdict(lambda: defaultdict(list))
    for run in runs:
        kinds[entry_of(run, preset=presets)][label_set_of(run)].append(run)
    for entry in in_order(kinds):
        for labels, of_kind in sorted(kinds[entry].items()):
            protocols = {name for run in of_kind for name in run["scores"]["protocols"]}
            for protocol in sorted(protocols, key=sort_key(PROTOCOLS)):
                having = [run for run in of_kind if protocol in run["scores"]["protocols"]]
                scores = [run["scores"]["protocols"][protocol][metric] for run in having]
                budget = budget_of([run["budget"] for run in having])
                column = Column("ours", entry.method, protocol, labels, budget, entry.variant)
                yield _Source(column, scores)
                tables = [run["scores"]["protocols"][protocol] for run in having]
                if found := [table[REPORT_F1] for table in tables if REPORT_F1 in table]:
                    column = replace(column, metric=REPORT_F1)
                    yield _Source(column, found if metric == "f1" else [])


def _beside(
    runs: Sequence[Results], agent: Agent | None, presets: bool
) -> dict[Group, list[Entry]]:
    """Choose which published numbers to show beside ours, of methods that were run or not."""
    by_agent: dict[Agent, list[Results]] = defaultdict(list)
    for run in runs:
        by_agent[agent or collected_by(run)].append(run)
    found: dict[Group, list[Entry]] = {}
    if "random" in by_agent:
        own = [Entry(run["method"], preset_in_words(run) if presets else "") for run in runs]
        usual = [] if presets else map(Entry, DEFAULT_COMPARISON)
        found["report"] = found["paper"] = found["reproduction"] = in_order([*own, *usual])
    if "ppo" in by_agent:
        own = [
            entry_of(run, preset=presets)
            for run in by_agent["ppo"]
            if RunKey.of_record(run).trained_where_probed
        ]
        beside = (Entry(name, entry.variant) for entry in own for name in DEFAULT_COMPARISON)
        found["paper-ppo"] = in_order([*own, *beside])
    return found


def _published(
    game: str, metric: Metric, group: Group, entries: Collection[Entry]
) -> Iterator[_Source]:
    sources: dict[Group, Callable[..., published.Published | None]] = {
        "report": published.report,
        "paper": published.paper,
        "reproduction": published.reproduction,
        "paper-ppo": partial(published.paper, agent="ppo"),
    }
    look_up = sources[group]
    for entry in entries:
        # Also a column without numbers, so that a game's tables have the same ones.
        found = {name: look_up(game, entry.method, metric=name) for name in METRICS}
        if known := next(filter(None, found.values()), None):
            column = Column(
                group,
                entry.method,
                budget=published_budget(group, entry.method),
                variant=entry.variant,
                split=known.split,
            )
            own = found[metric]
            yield _Source(column, [own.scores], own.derived) if own else _Source(column, [])


def rows_of(scores: Sequence[MetricScores]) -> tuple[Row, ...]:
    """List every category, mean and variable for which there is a number.

    Args:
        scores: one metric of several runs.

    Returns:
        The rows, in the order of the tables.
    """

    def named(part: Literal["categories", "variables"]) -> list[str]:
        present = (item for one in scores for item in one[part].items())
        return list(dict.fromkeys(name for name, value in present if value is not None))

    weighted = Row("mean", "mean_weighted_by_entropy", "Mean weighted by entropy")
    categories = sorted(named("categories"), key=sort_key(CATEGORIES))
    return (
        *(Row("category", name, CATEGORY_LABELS.get(name, name)) for name in categories),
        Row("mean", "mean_over_categories", "Mean over categories"),
        Row("mean", "mean_over_variables", "Mean over variables"),
        *([weighted] if any(weighted.pick(one) is not None for one in scores) else []),
        *(Row("variable", name, name) for name in named("variables")),
    )
