"""The comparison table of one game: our methods beside the report's and the paper's numbers.

This module decides what stands where; ``render`` and ``picture`` only draw it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from statistics import fmean
from typing import Any, Literal

from lightning_stdim.benchmark import published
from lightning_stdim.benchmark.intervals import estimate
from lightning_stdim.benchmark.results import Budget, Metric, MetricScores, Results
from lightning_stdim.datamodules.labels import CATEGORIES
from lightning_stdim.errors import ConfigurationError

METRICS: dict[Metric, str] = {"f1": "F1 (weighted by class support)", "accuracy": "Accuracy"}

METHODS = {
    "majority": "Majority",
    "random-cnn": "Random-CNN",
    "vae": "VAE",
    "pixel-pred": "Pixel-Pred",
    "cpc": "CPC",
    "static-dim": "Static-DIM",
    "global-t-dim": "Global-T-DIM",
    "jsd-st-dim": "JSD-ST-DIM",
    "st-dim-global-local": "ST-DIM, global-local",
    "st-dim-local-local": "ST-DIM, local-local",
    "st-dim": "ST-DIM",
    "dim-ua": "DIM-UA",
    "dim-ua-large": "DIM-UA, 16 384 units",
    "vicreg": "VICReg",
    "byol": "BYOL",
    "latent-prediction": "Latent prediction",
    "pretrained-agent": "Pretrained agent",
    "supervised": "Supervised",
}
"""Display names, in the order of the columns; methods that are not here come last."""


def name_of(method: str, variant: str = "") -> str:
    """Name runs that are averaged together, as their directories do.

    Args:
        method: its name.
        variant: in what the runs differ from their preset; may be empty.

    Returns:
        Such as ``"st-dim"`` or ``"st-dim,steps=3000"``.
    """
    return ",".join(filter(None, (method, variant)))


def display(name: str) -> str:
    """Write a name for people.

    Args:
        name: from :func:`name_of`.

    Returns:
        Such as ``"ST-DIM"`` or ``"ST-DIM (steps=3000)"``.
    """
    method, _, variant = name.partition(",")
    title = METHODS.get(method, method)
    return f"{title} ({variant})" if variant else title


TITLES = {
    "battlezone": "Battle Zone",
    "demonattack": "Demon Attack",
    "hero": "H.E.R.O.",
    "montezumarevenge": "Montezuma's Revenge",
    "mspacman": "Ms. Pac-Man",
    "privateeye": "Private Eye",
    "qbert": "Q*bert",
    "riverraid": "River Raid",
    "spaceinvaders": "Space Invaders",
    "videopinball": "Video Pinball",
    "yarsrevenge": "Yars' Revenge",
}
"""Games that are not called by their canonical name with a capital."""


def game_title(game: str) -> str:
    """Write a game's name for people.

    Args:
        game: canonical name.

    Returns:
        Such as ``"Ms. Pac-Man"``.
    """
    return TITLES.get(game, game.capitalize())


def in_order(names: Iterable[str]) -> list[str]:
    """Put names in the order of the display, each once.

    Args:
        names: from :func:`name_of`.

    Returns:
        The same names.
    """
    rank = _rank(METHODS)
    return sorted(set(names), key=lambda name: (rank(name.partition(",")[0]), name))


ALWAYS = ("majority", "random-cnn", "st-dim", "supervised")
"""Methods whose published numbers are shown even if nobody ran them; others' beside ours only."""

PROTOCOLS = {
    "majority": "",
    "supervised": "end to end",
    "paper": "paper",
    "converged": "converged",
}

CATEGORY_LABELS = {
    "small_object_localization": "Small object localization",
    "agent_localization": "Agent localization",
    "other_localization": "Other localization",
    "score_clock_lives_display": "Score/clock/lives/display",
    "misc_keys": "Miscellaneous",
}

MOST_METHODS = 6
"""So many methods of ours, under two protocols and beside published numbers, fit on a page."""

BUDGET_ROWS = ("pretraining frames", "probe frames", "epochs", "time", "runs")

PUBLISHED_LABELS = "paper 1"
"""Label set and version that the published numbers are for."""

Group = Literal["ours", "report", "paper"]


@dataclass(frozen=True)
class Cell:
    """One number of the table.

    Attributes:
        value: the score, a mean over runs.
        half_width: half the width of its 95 % interval; None for a single run.
        runs: how many runs the mean is over; None for a published number.
        derived: True if no published table prints it and it was worked out from one.
        values: every run's score; empty for a published number.
    """

    value: float
    half_width: float | None = None
    runs: int | None = None
    derived: bool = False
    values: tuple[float, ...] = ()


@dataclass(frozen=True)
class Row:
    """What one line of the table is about.

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
        """The key of MetricScores under which this row's score stands."""
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


@dataclass(frozen=True)
class Column:
    """One method under one protocol, or one published method.

    Attributes:
        group: who made the numbers: this package, the report or the paper.
        method: such as ``"st-dim"``.
        protocol: such as ``"converged"``; empty for published numbers.
        labels: the label set and its version, such as ``"paper 1"``.
        budget: text by BUDGET_ROWS, what the numbers cost; an entry not known is absent.
        variant: in what our runs differ from their preset; may be empty.
    """

    group: Group
    method: str
    protocol: str = ""
    labels: str = PUBLISHED_LABELS
    budget: dict[str, str] = field(default_factory=dict)
    variant: str = ""

    @property
    def title(self) -> str:
        """The method's display name, and the variant."""
        return display(self.name)

    @property
    def name(self) -> str:
        """The method and the variant, as :func:`name_of`."""
        return name_of(self.method, self.variant)

    @property
    def subtitle(self) -> str:
        """The protocol's display name; may be empty."""
        return PROTOCOLS.get(self.protocol, self.protocol)


@dataclass(frozen=True)
class Table:
    """The comparison of one metric on one game.

    Attributes:
        game: canonical name.
        metric: ``"f1"`` or ``"accuracy"``.
        rows: categories, means, variables, in this order.
        columns: ours, the report's, the paper's, in this order.
        cells: a tuple of cells for every row, one for every column; None where there is no number.
        notes: what a reader must know beside the numbers, a sentence or two each.
        part: which one of a table's parts, such as ``"part 1 of 2"``; empty for a whole one.
    """

    game: str
    metric: Metric
    rows: tuple[Row, ...]
    columns: tuple[Column, ...]
    cells: tuple[tuple[Cell | None, ...], ...]
    notes: tuple[str, ...]
    part: str = ""

    @property
    def title(self) -> str:
        """The caption in one line."""
        return ", ".join(filter(None, (f"{self.game}: {METRICS[self.metric]}", self.part)))

    def parts(self) -> list[Table]:
        """Break a table that is too wide for a page.

        Returns:
            Parts with all rows, of about equal width, in each some methods' columns, and beside
            every variant of a method its published ones; the table alone if it has at most
            MOST_METHODS methods.
        """
        ours = [column for column in self.columns if column.group == "ours"]
        names = list(dict.fromkeys(column.name for column in [*ours, *self.columns]))
        count = -(-len(names) // MOST_METHODS)
        if count == 1:
            return [self]
        ends = [len(names) * k // count for k in range(count + 1)]
        parts = []
        for k, (first, end) in enumerate(pairwise(ends)):
            here = names[first:end]
            methods = {column.method for column in ours if column.name in here}
            chosen = [
                i
                for i, column in enumerate(self.columns)
                if column.name in here or (column.group != "ours" and column.method in methods)
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
    results: Sequence[Results], *, game: str, metric: Metric, mixed_label_sets: bool = False
) -> Table:
    """Lay out our results beside the published ones.

    Another label set, or another version of one, is another task. So results of different ones
    are refused, and the published numbers, which are for the paper's, are shown only beside results
    for the paper's; unless a mixture is asked for. Then every label set has columns of its own,
    and the table says which is whose.

    Args:
        results: runs of any games, methods and seeds.
        game: canonical name of the game to compare on.
        metric: ``"f1"`` or ``"accuracy"``.
        mixed_label_sets: compare across label sets all the same.

    Returns:
        The table.

    Raises:
        ValueError: there are no results for the game.
        ConfigurationError: they are for different label sets, and a mixture was not asked for.
    """
    runs = [result for result in results if result["game"] == game]
    if not runs:
        raise ValueError(f"no results for {game}")
    label_sets = sorted({_labels(run) for run in runs})
    if len(label_sets) > 1 and not mixed_label_sets:
        raise ConfigurationError(
            f"the results for {game} are for different label sets ({', '.join(label_sets)}), which "
            "are different tasks: keep them in different directories, or compare them all the same "
            "with --mixed_label_sets"
        )
    comparable = mixed_label_sets or label_sets == [PUBLISHED_LABELS]

    sources = list(_ours(runs, metric))
    if comparable:
        sources += _published(game, metric, {*ALWAYS, *(run["method"] for run in runs)})
    rows = _rows([scores for source in sources for scores in source.scores])
    return Table(
        game=game,
        metric=metric,
        rows=rows,
        columns=tuple(source.column for source in sources),
        cells=tuple(tuple(source.cell(row) for source in sources) for row in rows),
        notes=_notes(runs, comparable=comparable),
    )


@dataclass(frozen=True)
class _Source:
    """A column and the scores, one for every run, that fill it."""

    column: Column
    scores: list[MetricScores]
    derived: frozenset[str] = frozenset()

    def cell(self, row: Row) -> Cell | None:
        known = [value for scores in self.scores if (value := row.pick(scores)) is not None]
        if not known:
            return None
        if self.column.group != "ours":
            return Cell(known[0], derived=row.part in self.derived)
        mean = estimate(known)
        return Cell(mean.mean, mean.half_width, mean.runs, values=tuple(known))


def _ours(runs: Sequence[Results], metric: Metric) -> Iterator[_Source]:
    rank = _rank(METHODS)
    kinds: dict[tuple[str, str, str], list[Results]] = defaultdict(list)
    for run in runs:
        kinds[run["method"], run.get("variant", ""), _labels(run)].append(run)
    for kind in sorted(kinds, key=lambda kind: (rank(kind[0]), *kind[1:])):
        method, variant, labels = kind
        of_kind = kinds[kind]
        protocols = {name for run in of_kind for name in run["scores"]["protocols"]}
        for protocol in sorted(protocols, key=_rank(PROTOCOLS)):
            having = [run for run in of_kind if protocol in run["scores"]["protocols"]]
            budget = _budget([run["budget"] for run in having])
            column = Column("ours", method, protocol, labels, budget, variant)
            yield _Source(column, [run["scores"]["protocols"][protocol][metric] for run in having])


def frames_of(run: Results) -> str:
    """Say in what a run's probe frames differ from the protocol's.

    Args:
        run: its results.

    Returns:
        Such as ``"mode 12"`` or ``"policy ppo.zip, in colour"``; empty if in nothing. Runs of one
        game and seed with the same words are of the same frames.
    """
    known = run["scores"].get("provenance", {}).get("collection", {})
    words = [f"{name} {known[name]}" for name in ("mode", "difficulty") if name in known]
    if known.get("policy", "random") != "random":
        words.append(f"policy {known['policy']}")
    words += [f"epsilon {known['epsilon']:g}"] if known.get("epsilon") else []
    words += ["greedy"] if known.get("greedy") else []
    return ", ".join(words + (["in colour"] if known.get("pixels") == "rgb" else []))


def _labels(run: Results) -> str:
    """Name a run's label set with its version."""
    return f"{run['scores']['label_set']} {run['scores'].get('label_set_version', 1)}"


def _published(game: str, metric: Metric, methods: Collection[str]) -> Iterator[_Source]:
    groups: list[tuple[Group, Callable[..., published.Published | None]]] = [
        ("report", published.report),
        ("paper", published.paper),
    ]
    for group, look_up in groups:
        for method in filter(methods.__contains__, METHODS):
            # Also a column without numbers, so that a game's tables have the same ones.
            found = {name: look_up(game, method, metric=name) for name in METRICS}
            if any(found.values()):
                column = Column(group, method, budget=_published_budget(group, method))
                own = found[metric]
                yield _Source(column, [own.scores], own.derived) if own else _Source(column, [])


def _rows(scores: Sequence[MetricScores]) -> tuple[Row, ...]:
    """Take every category and variable for which somebody has a number."""

    def named(part: Literal["categories", "variables"]) -> list[str]:
        present = (item for one in scores for item in one[part].items())
        return list(dict.fromkeys(name for name, value in present if value is not None))

    weighted = Row("mean", "mean_weighted_by_entropy", "Mean weighted by entropy")
    categories = sorted(named("categories"), key=_rank(CATEGORIES))
    return (
        *(Row("category", name, CATEGORY_LABELS.get(name, name)) for name in categories),
        Row("mean", "mean_over_categories", "Mean over categories"),
        Row("mean", "mean_over_variables", "Mean over variables"),
        *([weighted] if any(weighted.pick(one) is not None for one in scores) else []),
        *(Row("variable", name, name) for name in named("variables")),
    )


def _dropped(runs: Sequence[Results], where: str) -> Iterator[str]:
    """Say which variables of one label set were not scored, and why."""
    seeds = {run["seed"] for run in runs}
    dropped: dict[str, dict[int, str]] = defaultdict(dict)
    for run in runs:
        for name, why in run["scores"]["dropped"].items():
            dropped[name][run["seed"]] = why
    for name, reasons in sorted(dropped.items()):
        why = reasons[min(reasons)]
        if len(reasons) == len(seeds):
            yield f"Not scored{where}: {name} ({why})."
        else:  # its frames vary enough with the other seeds
            without = ", ".join(map(str, sorted(reasons)))
            yield (
                f"Not scored with seed {without}{where}: {name} ({why}); its row is over the "
                "other seeds."
            )


def _notes(runs: Sequence[Results], *, comparable: bool) -> tuple[str, ...]:
    seeds = sorted({run["seed"] for run in runs})
    presets = sorted({run["preset"] or "none" for run in runs})
    count = f"seed{'s' * (len(seeds) > 1)} {', '.join(map(str, seeds))}"
    notes = [f"Ours: preset {', '.join(presets)}; {count}."]
    if len(seeds) > 1:
        notes.append("± is half the width of the 95 % Student t interval of the mean over seeds.")
    else:
        notes.append("A single seed: no interval can be given.")
    notes.append(
        "Probes: paper is the published optimiser on raw features; converged is the regularised "
        "convex problem on standardised features, solved to its optimum; end to end is the "
        "supervised network's own heads."
    )
    sets = sorted({_labels(run) for run in runs})
    kinds = sorted({(_labels(run), frames_of(run)) for run in runs})
    for labels, frames in kinds:
        of_kind = [run for run in runs if (_labels(run), frames_of(run)) == (labels, frames)]
        where = [f"label set {labels}"] * (len(sets) > 1) + [frames] * bool(frames)
        notes += _dropped(of_kind, f" ({', '.join(where)})" if where else "")
    if comparable:
        notes.append(
            "Published: random agent, the game's default mode; neither gives a spread. In italics: "
            "means of the paper's per-variable numbers, which it does not print itself."
        )
        if sets != [PUBLISHED_LABELS]:
            notes.append(
                "Columns of different label sets are of different tasks; published numbers are of "
                f"{PUBLISHED_LABELS}."
            )
    else:
        notes.append("Published numbers are for the paper's label set, so none are shown here.")
    notes.append(f"Made with {made_with(runs)}.")
    return tuple(notes)


def made_with(runs: Sequence[Results]) -> str:
    """Name software and hardware once if all runs agree, otherwise every combination.

    Args:
        runs: of any games and methods.

    Returns:
        The combinations, separated by semicolons.
    """
    kinds: dict[str, None] = {}  # ordered, once each
    for run in runs:
        known = run["environment"]
        commit = f" ({known['commit'][:10]})" if known.get("commit") else ""
        torch = (known.get("packages") or {}).get("torch")
        hardware = known.get("gpu") or f"{known.get('cores', '?')} cores of {known.get('cpu', '?')}"
        kinds[f"lightning-stdim {known.get('package')}{commit}, torch {torch}, {hardware}"] = None
    return "; ".join(kinds)


def _budget(budgets: Sequence[Budget]) -> dict[str, str]:
    pretrained = [budget.get("pretrain_frames") for budget in budgets if budget.get("epochs")]
    text = {
        "pretraining frames": _span(pretrained),
        "probe frames": _span([budget.get("probe_frames") for budget in budgets]),
        "epochs": _span([budget.get("epochs") for budget in budgets]),
        "time": _time([budget.get("seconds") for budget in budgets]),
        "runs": str(len(budgets)),
    }
    return {name: value for name, value in text.items() if value}


def _published_budget(group: Group, method: str) -> dict[str, str]:
    if group == "report":
        return {"time": "6-8 h", "runs": "2" if method == "supervised" else "1"}
    trained = method in ("st-dim", "supervised")
    budget = {"probe frames": "50k", "epochs": "≤100" if trained else ""}
    if method == "st-dim":
        budget["pretraining frames"] = "100k"
    return {name: value for name, value in budget.items() if value}


def _span(counts: Sequence[int | None]) -> str:
    """Write counts over runs: one number if they agree, else from the least to the greatest."""
    known = [count for count in counts if count]
    if not known:
        return ""
    low, high = _short(min(known)), _short(max(known))
    return low if low == high else f"{low}-{high}"


def _short(count: int) -> str:
    return f"{count / 1000:g}k" if count >= 1000 else str(count)


def _time(seconds: Sequence[float | None]) -> str:
    known = [value for value in seconds if value is not None]
    if not known:
        return ""
    mean = fmean(known)
    if mean < 100:
        return f"{mean:.0f} s"
    return f"{mean / 60:.0f} min" if mean < 6000 else f"{mean / 3600:.1f} h"


def _rank(order: Iterable[str]) -> Callable[[str], tuple[int, str]]:
    """Make a sorting key: the given names in their order, then the others by name."""
    ranks = {name: rank for rank, name in enumerate(order)}
    return lambda name: (ranks.get(name, len(ranks)), name)
