"""What the axes change: runs with other settings beside the same method's own runs."""

from __future__ import annotations

from collections.abc import Iterator

from markupsafe import Markup

from lightning_stdim.report.names import display, game_title, in_order
from lightning_stdim.report.output.plots.frames import draw_frames
from lightning_stdim.report.runs_on_disk import Record, Run
from lightning_stdim.report.tables.comparison import ScoreCell
from lightning_stdim.report.tables.printable import BOTH_PROTOCOLS, Block, Line, Sheet, Value
from lightning_stdim.report.tables.score_matrix import cell, change, score_matrix


def beside_their_own(game: str, record: Record) -> Sheet | None:
    """Lay out every variant with its difference to the method's own runs on the same frames.

    A method's own runs are those that trained on frames of the kind that they are probed on, with
    the preset's number of them and its probes.

    Args:
        game: canonical name.
        record: runs of that game alone.

    Returns:
        The sheet; None if there is nothing to compare.
    """
    runs = {run.name: run for run in record.runs}  # runs of one name differ in their seeds alone
    own = {(run.results["method"], run.frames): name for name, run in runs.items() if _is_own(run)}
    scores = [score_matrix(record, protocol) for protocol in BOTH_PROTOCOLS]
    blocks = []
    for name in in_order(runs):
        method, frames = runs[name].results["method"], runs[name].frames
        base = own.get((method, frames), name)
        if base == name:
            continue
        cells: list[Value] = [base.partition(",")[2] or "preset's", frames or "protocol's"]
        for found in scores:
            cells.append(cell(found[name]) if name in found else None)
            both = name in found and base in found
            cells.append(change(found[base], found[name]) if both else None)
        blocks.append(Block(display(name), (Line("", tuple(cells)),)))
    if not blocks:
        return None
    columns = [word for p in BOTH_PROTOCOLS for word in (f"{p.capitalize()} protocol", "− own")]
    return Sheet(
        f"{game_title(game)}: F1 of variants, mean over categories",
        ("Own runs", "Frames probed", *columns),
        tuple(blocks),
        (
            "Differences are to the same method's own runs, within a seed: trained and probed on "
            "frames of the same kind, with the preset's settings.",
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
    counts: dict[str, dict[str, int]] = {}  # of every method's runs by name
    for run in record.runs:
        variant, frames = (
            run.results.get("variant", ""),
            run.results["budget"].get("pretrain_frames"),
        )
        if frames and variant.partition("=")[0] in ("", "steps") and "," not in variant:
            counts.setdefault(run.results["method"], {})[run.name] = frames
    for method in in_order(counts):
        if len(set(counts[method].values())) < 2:
            continue
        drawn: dict[str, dict[int, ScoreCell]] = {
            protocol: {n: cell(found[name]) for name, n in counts[method].items() if name in found}
            for protocol, found in scores.items()
        }
        title = display(method)
        yield title, draw_frames(drawn, what=f"{game}, {title}")


def _is_own(run: Run) -> bool:
    words = filter(None, run.results.get("variant", "").split(","))
    return all(word.startswith(("policy=", "mode=", "difficulty=")) for word in words)
