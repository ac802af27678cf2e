"""Runs with other settings, beside the same method's own runs."""

from __future__ import annotations

from collections.abc import Iterator

from markupsafe import Markup

from lightning_stdim.report.names import Entry, game_title, in_order
from lightning_stdim.report.output.plots.frames import draw_frames
from lightning_stdim.report.runs_on_disk import Record, preset_in_words
from lightning_stdim.report.tables.comparison import ScoreCell
from lightning_stdim.report.tables.printable import BOTH_PROTOCOLS, Block, Line, Sheet, Value
from lightning_stdim.report.tables.score_matrix import cell, change, score_matrix


def beside_their_own(game: str, record: Record) -> Sheet | None:
    """Lay out every variant with its difference from the method's own runs on the same frames.

    A method's own runs are trained and probed on frames of one kind, with the preset's number of
    frames and its probes.

    Args:
        game: canonical name.
        record: the runs of that game alone.

    Returns:
        The sheet; None if there is nothing to compare.
    """
    runs = {run.entry: run for run in record.runs}  # those of one entry differ in seed alone
    own = {
        (entry.method, run.results["preset"], run.frames): entry
        for entry, run in runs.items()
        if run.key.trained_where_probed
    }
    scores = [score_matrix(record, protocol) for protocol in BOTH_PROTOCOLS]
    blocks = []
    for entry in in_order(runs):
        frames = runs[entry].frames
        base = own.get((entry.method, runs[entry].results["preset"], frames), entry)
        if base == entry:
            continue
        cells: list[Value] = [base.variant or "preset's", frames or "protocol's"]
        for found in scores:
            cells.append(cell(found[entry]) if entry in found else None)
            both = entry in found and base in found
            cells.append(change(found[base], found[entry]) if both else None)
        blocks.append(Block(entry.title, (Line("", tuple(cells)),)))
    if not blocks:
        return None
    columns = [word for p in BOTH_PROTOCOLS for word in (f"{p.capitalize()} protocol", "− own")]
    return Sheet(
        f"{game_title(game)}: F1 of variants, mean over categories",
        ("Own runs", "Frames probed", *columns),
        tuple(blocks),
        (
            "Differences are within a seed, from the same method's own runs: those trained and "
            "probed on frames of the same kind, with the preset's settings.",
        ),
    )


def by_frames(game: str, record: Record) -> Iterator[tuple[str, Markup]]:
    """Draw the scores of every method that was pretrained on several numbers of frames.

    Args:
        game: canonical name.
        record: runs of that game alone.

    Yields:
        Each such method's display name, and the plot.
    """
    scores = {protocol: score_matrix(record, protocol) for protocol in BOTH_PROTOCOLS}
    counts: dict[Entry, dict[Entry, int]] = {}  # for each method frames by variant
    for run in record.runs:
        key, frames = run.key, run.results["budget"].get("pretrain_frames")
        if frames and not key.source and all(name == "steps" for name, _ in key.options):
            preset = preset_in_words(run.results) if run.with_preset else ""
            counts.setdefault(Entry(key.method, preset), {})[run.entry] = frames
    for method in in_order(counts):
        if len(set(counts[method].values())) < 2:
            continue
        drawn: dict[str, dict[int, ScoreCell]] = {
            protocol: {n: cell(found[one]) for one, n in counts[method].items() if one in found}
            for protocol, found in scores.items()
        }
        yield method.title, draw_frames(drawn, what=f"{game}, {method.title}")
