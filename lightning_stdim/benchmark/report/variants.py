"""What the axes change: runs with other settings beside the same method's own runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from markupsafe import Markup

from lightning_stdim.benchmark.intervals import Estimate, estimate
from lightning_stdim.benchmark.record import Run
from lightning_stdim.benchmark.report.plots.frames import draw_frames
from lightning_stdim.benchmark.report.sheets import (
    Block,
    Difference,
    Line,
    Protocol,
    Sheet,
    Value,
    protocol_of,
)
from lightning_stdim.benchmark.report.tables import Cell, display, game_title, in_order

PROTOCOLS: tuple[Protocol, Protocol] = ("paper", "converged")


def beside_their_own(game: str, runs: Sequence[Run]) -> Sheet | None:
    """Lay out every variant with its difference to the method's own runs on the same frames.

    A method's own runs are those that trained on frames of the kind that they are probed on, with
    the preset's number of them and its probes.

    Args:
        game: canonical name.
        runs: of that game.

    Returns:
        The sheet; None if there is nothing to compare.
    """
    own = {(run.results["method"], run.frames): run.name for run in runs if _is_own(run)}
    blocks = []
    for name in in_order(run.name for run in runs):
        of_name = [run for run in runs if run.name == name]
        key = of_name[0].results["method"], of_name[0].frames
        if own.get(key, name) == name:
            continue
        of_own = [run for run in runs if (run.name, run.frames) == (own[key], key[1])]
        cells: list[Value] = [own[key].partition(",")[2] or "preset's", key[1] or "protocol's"]
        for protocol in PROTOCOLS:
            mine, theirs = _by_seed(of_name, protocol), _by_seed(of_own, protocol)
            cells.append(Cell(*_fields(list(mine.values()))) if mine else None)
            paired = [mine[seed] - theirs[seed] for seed in mine.keys() & theirs.keys()]
            cells.append(Difference(*_fields(paired)) if paired else None)
        blocks.append(Block(display(name), (Line("", tuple(cells)),)))
    if not blocks:
        return None
    columns = [word for p in PROTOCOLS for word in (f"{p.capitalize()} protocol", "− own")]
    return Sheet(
        f"{game_title(game)}: F1 of variants, mean over categories",
        ("Own runs", "Frames probed", *columns),
        tuple(blocks),
        (
            "Differences are to the same method's own runs, within a seed: trained and probed on "
            "frames of the same kind, with the preset's settings.",
        ),
    )


def by_frames(game: str, runs: Sequence[Run]) -> Iterator[tuple[str, Markup]]:
    """Draw the scores of every method that was pretrained on several numbers of frames.

    Args:
        game: canonical name.
        runs: of that game.

    Yields:
        Each such method's display name, and the plot.
    """
    for method in in_order(run.results["method"] for run in runs):
        of_method = [
            run
            for run in runs
            if run.results["method"] == method
            and run.results.get("variant", "").partition("=")[0] in ("", "steps")
            and "," not in run.results.get("variant", "")
            and run.results["budget"].get("pretrain_frames")
        ]
        counts = sorted({run.results["budget"]["pretrain_frames"] or 0 for run in of_method})
        if len(counts) < 2:
            continue
        scores: dict[str, dict[int, Estimate]] = {}
        for protocol in PROTOCOLS:
            for count in counts:
                there = [r for r in of_method if r.results["budget"]["pretrain_frames"] == count]
                if found := _by_seed(there, protocol):
                    scores.setdefault(protocol, {})[count] = estimate(list(found.values()))
        title = display(method)
        yield title, draw_frames(scores, what=f"{game}, {title}")


def _is_own(run: Run) -> bool:
    words = filter(None, run.results.get("variant", "").split(","))
    return all(word.startswith(("policy=", "mode=", "difficulty=")) for word in words)


def _by_seed(runs: Sequence[Run], protocol: Protocol) -> dict[int, float]:
    found = {}
    for run in runs:
        scores = run.results["scores"]["protocols"].get(protocol_of(run.name, protocol))
        value = scores["f1"]["mean_over_categories"] if scores else None
        if value is not None:
            found[run.results["seed"]] = value
    return found


def _fields(values: list[float]) -> tuple[float, float | None, int]:
    found = estimate(values)
    return found.mean, found.half_width, found.runs
