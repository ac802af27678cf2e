"""The summary of a report: what the numbers say, in words."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from lightning_stdim.report.content.paper_tables import PAPER, mean_over_games
from lightning_stdim.report.content.rankings import by_mean, by_protocol, over_games
from lightning_stdim.report.names import Entry, Group, game_title, in_order
from lightning_stdim.report.runs_on_disk import Record, Run, label_set_of
from lightning_stdim.report.statistics import aggregates
from lightning_stdim.report.statistics.aggregates import ScoreMatrix
from lightning_stdim.report.statistics.student import EQUAL
from lightning_stdim.report.tables.comparison import ScoreCell, Table
from lightning_stdim.report.tables.notes import SMOKE
from lightning_stdim.report.tables.printable import Sheet, metric_of, protocol_of
from lightning_stdim.report.tables.score_matrix import cell, common, ranked, score_matrix
from lightning_stdim.utils.counted import counted

COLLAPSED = 2.0
"""Effective rank below which ``RepresentationHealth`` warns of a collapse."""


@dataclass(frozen=True)
class Summary:
    """The page's first part.

    Attributes:
        warning: what a reader must know before any number; may be empty.
        paragraphs: what the numbers say, in words.
        verdicts: the leading method against each other one, a sentence each.
        aggregates: tables over several games; none for one game.
        protocols: every method under both protocols, and what to note about it.
        means: every method averaged in every way, and what to note about it.
    """

    warning: str
    paragraphs: tuple[str, ...]
    verdicts: tuple[str, ...]
    aggregates: tuple[Sheet, ...]
    protocols: tuple[Sheet, str]
    means: tuple[Sheet, str]


def summarise(record: Record, games: Mapping[str, Sequence[Table]]) -> Summary:
    """Sum up a benchmark.

    Runs that were probed on other frames than most, such as those of another mode, are of other
    tasks and are left to the games' own tables; so are those of preset smoke, which are counted but
    not ranked. The leaders and verdicts are of each preset.

    Args:
        record: finished runs.
        games: for each game a comparison of every metric.

    Returns:
        Words and tables.
    """
    f1 = {game: metric_of(tables, "f1") for game, tables in games.items()}
    whole, record = record, record.on_the_same_frames()
    judged = replace(
        record, runs=tuple(run for run in record.runs if run.results["preset"] != SMOKE)
    )
    converged, paper = (score_matrix(judged, protocol) for protocol in ("converged", "paper"))
    preset_of = {run.entry: run.results["preset"] for run in judged.runs}
    titles = [game_title(game) for game in record.games]
    seeds = sorted({run["seed"] for run in record.results})
    presets = sorted({run["preset"] or "none" for run in record.results})
    probed: set[Entry] = set()
    lacking: set[Entry] = set()
    for run in record.runs:
        protocol = protocol_of(run.entry.method, "converged")
        if protocol in run.results["scores"]["protocols"]:
            probed.add(run.entry)
        if run.lacks_scores(protocol):
            lacking.add(run.entry)
    where = titles[0] if len(titles) == 1 else f"{len(titles)} games"
    opening = (
        f"{counted(len(probed), 'method')} on {where}; preset{'s' * (len(presets) > 1)} "
        f"{', '.join(presets)}; seed{'s' * (len(seeds) > 1)} {', '.join(map(str, seeds))}. Scores "
        "are F1 weighted by class support, means over categories as in the published tables."
    )
    left_out = in_order(probed & preset_of.keys() - converged.keys() - lacking)
    paragraphs = [opening]
    for protocol, scores in (("converged", converged), ("paper", paper)):
        compared = _by_preset(scores, preset_of)
        for preset, found in compared.items():
            among = f"among the runs {f'of preset {preset}' if preset else 'without a preset'}"
            paragraphs.append(_leader(found, protocol, f", {among}," * (len(compared) > 1)))
    paragraphs += [_incomplete(converged), *_without_numbers(whole), _copies(whole)]
    if left_out:
        names = "; ".join(entry.title for entry in left_out)
        paragraphs.append(f"Not compared over games, since not every game has a run: {names}.")
    elsewhere = in_order({run.entry for run in whole.runs} - {run.entry for run in record.runs})
    if elsewhere:
        names = "; ".join(entry.title for entry in elsewhere)
        paragraphs.append(f"Probed on other frames, so compared only in the tables below: {names}.")
    paragraphs.append(_collapsed(whole))
    group, published = _published({game: f1[game] for game in judged.games}, converged)
    return Summary(
        warning=_of_smoke(presets),
        paragraphs=tuple(filter(None, paragraphs)),
        verdicts=tuple(
            sentence
            for found in _by_preset(converged, preset_of).values()
            for sentence in _verdicts(found)
        ),
        aggregates=tuple(
            sheet
            for sheet in (*over_games(converged, "converged"), *over_games(paper, "paper"))
            if sheet.blocks and len(judged.games) > 1
        ),
        protocols=by_protocol(paper, converged, published, group),
        means=by_mean(judged),
    )


def _of_smoke(presets: Sequence[str]) -> str:
    """Warn of scores that only show that the commands work."""
    if SMOKE not in presets:
        return ""
    which = "on this page" if presets == [SMOKE] else f"of preset {SMOKE}"
    return (
        f"The scores {which} mean nothing, and are not ranked: preset {SMOKE} only tries out the "
        "commands, with a handful of frames and epochs."
    )


def _by_preset(
    scores: Mapping[Entry, ScoreMatrix], preset_of: Mapping[Entry, str | None]
) -> dict[str | None, dict[Entry, ScoreMatrix]]:
    """Part the methods by preset: budgets differ, and so runs of two presets do not compare."""
    found: dict[str | None, dict[Entry, ScoreMatrix]] = {}
    for entry, values in scores.items():
        found.setdefault(preset_of[entry], {})[entry] = values
    return found


def _published(
    games: Mapping[str, Table], entries: Iterable[Entry]
) -> tuple[Group, dict[Entry, ScoreCell]]:
    """Find the published numbers, for the agent that gives the most of them."""
    find, entries = mean_over_games(games), list(entries)
    found = {
        group: {entry: score for entry in entries if (score := find(group, entry, ""))}
        for group in PAPER
    }
    group = max(found, key=lambda group: len(found[group]))
    return group, found[group]


def _leader(scores: Mapping[Entry, ScoreMatrix], protocol: str, among: str = "") -> str:
    """Say which method leads, and over which others the runs do not resolve its lead."""
    under = f"Under the {protocol} protocol{among}"
    competing = ranked(scores)
    if len(competing) < 2:
        return ""
    best = competing[0]
    mean = cell(scores[best])
    tied = [one for one in competing if abs(cell(scores[one]).value - mean.value) < EQUAL]
    if len(tied) > 1:
        names = f"{', '.join(one.title for one in tied[:-1])} and {tied[-1].title}"
        return f"{under} {names} tie with {mean.value:.2f}."
    differences = {entry: _difference(scores, best, entry) for entry in competing[1:]}
    compared = {entry: d for entry, d in differences.items() if d is not None}
    open_ones = [entry for entry, d in compared.items() if not d.resolved]
    interval = "" if mean.half_width is None else f" ± {mean.half_width:.2f}"
    text = f"{under} {best.title} leads with {mean.value:.2f}{interval}."
    if not compared or not any(d.known for d in compared.values()):
        alike = any(max(d.seeds) > 1 for d in compared.values())
        why = "As the differences are the same in all seeds," if alike else "With a single seed"
        return f"{text} {why} nothing can be said about whether that is chance."
    if not open_ones:
        return f"{text} The runs resolve its lead over every other method."
    names = "; ".join(entry.title for entry in open_ones)
    others = f" ({len(open_ones)} of {len(compared)} others)" if len(compared) > 1 else ""
    return f"{text} The runs do not resolve its lead over {names}{others}."


def _incomplete(scores: Mapping[Entry, ScoreMatrix]) -> str:
    """Say so if the means are over different seeds."""
    there = [np.isfinite(values) for values in scores.values()]
    if not there or all(np.array_equal(one, there[0]) for one in there):
        return ""
    return (
        "Some methods have runs of seeds that others lack: their means are over different frames. "
        "Differences, which are within a seed, compare them."
    )


def _without_numbers(record: Record) -> Iterator[str]:
    """Say which runs have no score where their probes should have given one."""
    lacking: dict[str, list[Run]] = {}
    for run in record.runs:
        names = [name for name in run.results["scores"]["protocols"] if run.lacks_scores(name)]
        if names:
            protocols = f"{' and '.join(names)} protocol{'s' * (len(names) > 1)}"
            lacking.setdefault(protocols, []).append(run)
    for protocols, runs in lacking.items():
        yield (
            f"Under the {protocols} the records of these runs lack scores (NaN or null), so "
            f"nothing is said there about which of their methods is ahead: {_named(runs)}."
        )


def _copies(record: Record) -> str:
    """Say which runs of several seeds have the same scores."""
    alike: dict[tuple[str, Entry, str, str], dict[int, Run]] = {}
    for run in record.runs:
        scores = json.dumps(run.results["scores"]["protocols"], sort_keys=True)
        same = (run.results["game"], run.entry, label_set_of(run.results), scores)
        alike.setdefault(same, {})[run.results["seed"]] = run
    found = [run for seeds in alike.values() if len(seeds) > 1 for run in seeds.values()]
    if not found:
        return ""
    return (
        "These runs have the same scores as another seed of theirs: they are copies, or nothing in "
        f"them depends on the seed. An interval would not show chance: {_named(found)}."
    )


def _named(runs: Iterable[Run]) -> str:
    """List runs by method, game and seed, each once."""
    names = (
        f"{run.entry.title} ({game_title(run.results['game'])}, seed {run.results['seed']})"
        for run in runs
    )
    return "; ".join(dict.fromkeys(names))


def _collapsed(record: Record) -> str:
    """Say which encoders ended with features that no longer tell frames apart."""
    found = []
    for run in record.runs:
        ranks = run.curves().get("effective_rank", {}).get("health", [])
        if ranks and ranks[-1][1] < COLLAPSED:
            found.append(run)
    if not found:
        return ""
    return (
        "These encoders collapsed in training, to features with an effective rank under "
        f"{COLLAPSED:.0f}; their scores are those of a training that failed: {_named(found)}."
    )


def _verdicts(scores: Mapping[Entry, ScoreMatrix]) -> list[str]:
    competing = ranked(scores)
    pairs = ((competing[0], entry) for entry in competing[1:])
    return [
        aggregates.verdict(best.title, entry.title, difference) + "."
        for best, entry in pairs
        if (difference := _difference(scores, best, entry)) is not None
    ]


def _difference(
    scores: Mapping[Entry, ScoreMatrix], a: Entry, b: Entry
) -> aggregates.PairedDifference | None:
    """Compare two methods; None where a game has no seed that both have."""
    if not common(scores[a], scores[b]):
        return None
    return aggregates.paired_difference(scores[a], scores[b])
