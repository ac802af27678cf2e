"""F1 against optimiser steps: means over seeds, and differences to the untrained encoder."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lightning_stdim.errors import ConfigurationError
from lightning_stdim.report.names import PROTOCOLS, Entry, in_order, sort_key
from lightning_stdim.report.runs_on_disk import (
    describe_frames,
    label_set_of,
    preset_in_words,
    several_presets,
)
from lightning_stdim.report.statistics.student import MeanWithCI, mean_with_ci
from lightning_stdim.report.tables.comparison import Row, rows_of
from lightning_stdim.runs.key import RunKey
from lightning_stdim.runs.probe_snapshots import ProbedEncoder
from lightning_stdim.runs.results import MetricScores, Results

BySeed = dict[int, MetricScores]


@dataclass(frozen=True)
class StepCurve:
    """The F1 of one method in one game under one protocol, by optimiser steps and seeds.

    Attributes:
        game: canonical name.
        entry: the method and its variant.
        protocol: the probe protocol.
        untrained: scores of the encoders before the first step.
        snapshots: scores after each number of steps, ascending.
        kept: scores of the encoders that finished runs have kept.
        kept_steps: the numbers of steps of these.
    """

    game: str
    entry: Entry
    protocol: str
    untrained: BySeed = field(default_factory=dict)
    snapshots: dict[int, BySeed] = field(default_factory=dict)
    kept: BySeed = field(default_factory=dict)
    kept_steps: dict[int, int] = field(default_factory=dict)

    @property
    def seeds(self) -> list[int]:
        """The runs' seeds."""
        return sorted(self.untrained)

    @property
    def last_steps(self) -> list[int]:
        """The last step that every seed has a snapshot of, and the last one that any has."""
        shared = [step for step, found in self.snapshots.items() if len(found) == len(self.seeds)]
        return sorted({*shared[-1:], *list(self.snapshots)[-1:]})

    @property
    def rows(self) -> tuple[Row, ...]:
        """Every category, mean and variable."""
        return rows_of([*self.untrained.values(), *self.kept.values()])

    @property
    def headline(self) -> Row:
        """The mean over categories; over variables where none has a category."""
        means = {row.name: row for row in self.rows if row.kind == "mean"}
        first = next(iter(self.untrained.values()))
        over = "variables" if first["mean_over_categories"] is None else "categories"
        return means[f"mean_over_{over}"]


def values(scores: BySeed, row: Row) -> dict[int, float]:
    """Pick one row's scores.

    Args:
        scores: by seed.
        row: a category, a mean or a variable.

    Returns:
        The scores by seed, of those that have one.
    """
    found = {seed: row.pick(one) for seed, one in scores.items()}
    return {seed: value for seed, value in found.items() if value is not None}


def mean(scores: BySeed, row: Row) -> MeanWithCI | None:
    """Average one row over seeds.

    Args:
        scores: by seed.
        row: a category, a mean or a variable.

    Returns:
        The mean with Student's interval; None if no seed has a score.
    """
    found = values(scores, row)
    return mean_with_ci(list(found.values())) if found else None


def gain(curve: StepCurve, scores: BySeed, row: Row) -> MeanWithCI | None:
    """Average the differences to the untrained encoder of the same seed.

    Pairing takes out what seeds have in common before and after training: their frames, their
    splits and their initial weights.

    Args:
        curve: the curve that the scores are of.
        scores: some of its scores, by seed.
        row: a category, a mean or a variable.

    Returns:
        The mean difference with Student's interval; None if no seed has both scores.
    """
    before, after = values(curve.untrained, row), values(scores, row)
    differences = [after[seed] - before[seed] for seed in sorted(after) if seed in before]
    return mean_with_ci(differences) if differences else None


def ahead_from(curve: StepCurve, row: Row, *, resolved: bool = False) -> int | None:
    """Find the first snapshot from which on a method stays ahead of its untrained encoder.

    Args:
        curve: the method's curve.
        row: a category, a mean or a variable.
        resolved: ask for the whole interval to be above zero, not the mean alone. Snapshots of a
            single seed, which have no interval, are left out.

    Returns:
        Its number of steps; None if the method is not ahead at the last snapshot.
    """
    first = None
    for step, scores in reversed(curve.snapshots.items()):
        found = gain(curve, scores, row)
        if found is None or (resolved and found.half_width is None):
            continue
        if found.mean - ((found.half_width or 0.0) if resolved else 0.0) <= 0:
            break
        first = step
    return first


def step_curves(probed: Iterable[ProbedEncoder]) -> list[StepCurve]:
    """Arrange the scores of encoders as curves.

    Args:
        probed: the encoders of one run or more.

    Returns:
        A curve for every game, protocol and method, in the order of the tables.

    Raises:
        ConfigurationError: two runs are the same one, or runs of one game were probed on different
            frames or labels, or with different settings.
    """
    probed = list(probed)
    several = several_presets(one.results for one in probed)
    runs: dict[tuple[RunKey, Entry], list[ProbedEncoder]] = defaultdict(list)
    for one in probed:
        runs[one.run, _entry_of(one, preset=several)].append(one)
    _check_comparable(runs)
    curves: dict[tuple[str, str, Entry], StepCurve] = {}
    for (key, entry), encoders in runs.items():
        for one in encoders:
            for protocol in one.protocols:
                where = key.game, protocol, entry
                curve = curves.setdefault(where, StepCurve(key.game, entry, protocol))
                scores = one.results["scores"]["protocols"][protocol]["f1"]
                if one.kind == "kept":
                    curve.kept[key.seed] = scores
                    curve.kept_steps[key.seed] = one.step
                else:
                    by_seed = (
                        curve.snapshots.setdefault(one.step, {}) if one.step else curve.untrained
                    )
                    if key.seed in by_seed:
                        raise ConfigurationError(
                            f"two of the runs are {key}: they would be taken for two seeds"
                        )
                    by_seed[key.seed] = scores
    for curve in curves.values():
        ascending = sorted(curve.snapshots.items())
        curve.snapshots.clear()
        curve.snapshots.update(ascending)
    ranks = {entry: rank for rank, entry in enumerate(in_order(entry for _, _, entry in curves))}
    by_protocol = sort_key(PROTOCOLS)
    # A run with the snapshot of step 0 alone has no curve.
    whole = [curve for curve in curves.values() if curve.snapshots]
    return sorted(whole, key=lambda one: (one.game, by_protocol(one.protocol), ranks[one.entry]))


def _entry_of(one: ProbedEncoder, *, preset: bool) -> Entry:
    words = [preset_in_words(one.results)] if preset else []
    return Entry(one.run.method, ",".join(filter(None, (*words, one.run.variant))))


def _check_comparable(runs: Mapping[tuple[RunKey, Entry], Sequence[ProbedEncoder]]) -> None:
    """Refuse runs of one game whose scores do not compare."""
    first: dict[tuple[str, str], tuple[RunKey, Any]] = {}
    for (key, _), encoders in runs.items():
        for one in encoders:
            for what, value in _made_by(one.results, one.protocols).items():
                other, there = first.setdefault((key.game, what), (key, value))
                if there != value:
                    raise ConfigurationError(
                        f"the scores of {other} and of {key} do not compare: {what} {there} and "
                        f"{value}; draw them one at a time, or with the same settings of the probes"
                    )


def _made_by(results: Results, protocols: Iterable[str]) -> dict[str, Any]:
    """Collect what must be the same for all scores of a game."""
    made: dict[str, Any] = {
        "label set": label_set_of(results),
        "frames": describe_frames(results) or "of the protocol",
        "number of probe frames": results["budget"].get("probe_frames"),
    }
    settings = results["scores"].get("settings", {})
    for protocol in protocols:
        for name, value in settings.get(protocol, {}).items():
            if name != "variables":
                made[f"{protocol}.{name}"] = value
    return made
