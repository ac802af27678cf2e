"""A game's section of the page: plots, pictures, tables and notes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from markupsafe import Markup

from lightning_stdim.catalogue import DEFAULT_COMPARISON, method_named
from lightning_stdim.datamodules.labels.screen_positions import Landmark
from lightning_stdim.report.content.game_tables import budget, control, controls, numbers
from lightning_stdim.report.content.paper_tables import report_table
from lightning_stdim.report.content.variants import beside_their_own, by_frames
from lightning_stdim.report.names import PROTOCOLS, Entry, game_title, in_order
from lightning_stdim.report.output.frame_overlays import Picture, data_uri, draw_marks, drawable
from lightning_stdim.report.output.plots.agreement import draw_agreement
from lightning_stdim.report.output.plots.learning import draw_learning
from lightning_stdim.report.output.plots.scores import DotPlotRow, draw_scores
from lightning_stdim.report.runs_on_disk import Record, Run, on_the_same_frames
from lightning_stdim.report.tables.comparison import Table
from lightning_stdim.report.tables.printable import Sheet, entries_of, metric_of, protocol_of
from lightning_stdim.runs.predictions import Predictions

PICTURED = tuple(Entry(name) for name in DEFAULT_COMPARISON if method_named(name).has_model)
"""Methods whose predictions are drawn beside those of the best ones."""
MOST_PICTURED = 4


@dataclass(frozen=True)
class Plot:
    """A plot with its heading.

    Attributes:
        title: the heading.
        svg: the plot.
    """

    title: str
    svg: Markup


@dataclass(frozen=True)
class Predicted:
    """The predictions of one run's probes.

    Attributes:
        title: the method's display name and the protocol.
        agreement: for every variable a plot of true against predicted values.
        pictures: frames with the objects drawn on them.
    """

    title: str
    agreement: tuple[Plot, ...]
    pictures: tuple[Picture, ...]


@dataclass(frozen=True)
class Section:
    """Everything about one game.

    Attributes:
        game: canonical name.
        scores: F1 of each variable and of the mean over categories.
        challenge: whether these include scores under the ``challenge`` protocol.
        by_frames: F1 against the number of frames to pretrain on, if there are several numbers.
        variants: runs with other settings beside their method's own; None if there are none.
        numbers: F1 and accuracy in numbers, and the controls.
        published: the challenge report's tables, if it has the game.
        learning: learning curves by method.
        seed: seed of the runs whose predictions are shown.
        predicted: true against predicted values by method.
        frames: ``data:`` addresses of the frames that the pictures are drawn on.
        objects: the objects that are drawn on them.
        budget: what the numbers cost.
        notes: what a reader must know beside the numbers, such as which variables are not scored.
    """

    game: str
    scores: tuple[Plot, ...]
    challenge: bool
    by_frames: tuple[Plot, ...]
    variants: Sheet | None
    numbers: tuple[Sheet, ...]
    published: tuple[Sheet, ...]
    learning: tuple[Plot, ...]
    seed: int | None
    predicted: tuple[Predicted, ...]
    frames: tuple[str, ...]
    objects: tuple[Landmark, ...]
    budget: Sheet
    notes: tuple[str, ...]

    @property
    def title(self) -> str:
        """The game's name for people."""
        return game_title(self.game)


def section(record: Record, game: str, tables: Sequence[Table]) -> Section:
    """Put a game's section together.

    Args:
        record: all finished runs.
        game: canonical name.
        tables: a comparison for every metric.

    Returns:
        The section.
    """
    runs = list(record.of(game))
    here = replace(record, runs=tuple(runs))
    f1 = metric_of(tables, "f1")
    seed, predictions = _with_predictions(runs)
    chosen = _pictured(f1, predictions)
    first = next(iter(predictions.values()), None)
    return Section(
        game=game,
        scores=tuple(_scores(f1, runs)),
        challenge=any(column.protocol == "challenge" for column in f1.columns),
        by_frames=tuple(Plot(*one) for one in by_frames(game, here)),
        variants=beside_their_own(game, here),
        numbers=(
            *(numbers(part) for table in tables for part in table.parts()),
            *filter(None, [controls(f1, runs)]),
        ),
        published=tuple(sheet for table in tables if (sheet := report_table(table))),
        learning=tuple(_learning(game, runs)),
        seed=seed,
        predicted=tuple(_predicted(game, entry, predictions[entry]) for entry in chosen),
        frames=tuple(map(data_uri, first.frames)) if first else (),
        objects=tuple(drawable(game, first)) if first else (),
        budget=budget(f1),
        notes=f1.notes,
    )


def _scores(table: Table, runs: Sequence[Run]) -> list[Plot]:
    """Draw a dot plot for the mean over categories and for every variable."""
    ours = [one for one in entries_of([table], "ours") if method_named(one.method).has_model]
    plots = []
    for row, cells in zip(table.rows, table.cells, strict=True):
        if row.kind != "variable" and row.name != "mean_over_categories":
            continue
        found = {
            (column.entry, column.protocol): cell
            for column, cell in zip(table.columns, cells, strict=True)
            if column.group == "ours" and not column.metric and cell is not None
        }
        lines = [
            DotPlotRow(
                title=entry.title,
                cells={p: cell for (one, p), cell in found.items() if one == entry},
                shuffled=control(_of(runs, entry), row, "shuffled"),
                majority=control(_of(runs, entry), row, "majority"),
            )
            for entry in ours
        ]
        if any(line.cells for line in lines):
            plots.append(Plot(row.label, draw_scores(lines, what=f"{table.game}, {row.label}")))
    return plots


def _learning(game: str, runs: Sequence[Run]) -> list[Plot]:
    plots = []
    for entry in in_order(run.entry for run in runs):
        curves = [run.curves() for run in _of(runs, entry)]
        drawn = draw_learning(curves, what=f"{game}, {entry.title}") if curves else None
        if drawn:
            plots.append(Plot(entry.title, drawn))
    return plots


def _with_predictions(runs: Sequence[Run]) -> tuple[int | None, dict[Entry, Predictions]]:
    """Choose the seed for which the most runs have left predictions, all of the same frames."""
    by_seed: dict[int, dict[Entry, Predictions]] = {}
    for run in on_the_same_frames(runs):
        predictions = run.predictions()
        if predictions and predictions.predicted:
            by_seed.setdefault(run.results["seed"], {})[run.entry] = predictions
    if not by_seed:
        return None, {}
    seed = max(sorted(by_seed), key=lambda seed: len(by_seed[seed]))
    return seed, by_seed[seed]


def _pictured(table: Table, predictions: dict[Entry, Predictions]) -> list[Entry]:
    """Choose the methods to picture: the usual ones, and the best under the converged protocol."""
    row = next(k for k, row in enumerate(table.rows) if row.name == "mean_over_categories")
    mean = {
        column.entry: cell.value
        for column, cell in zip(table.columns, table.cells[row], strict=True)
        if cell and column.group == "ours" and column.protocol == "converged"
    }
    best = sorted(mean, key=lambda entry: -mean[entry])
    wanted = list(dict.fromkeys([*best[:1], *PICTURED, *best]))
    chosen = [entry for entry in wanted if entry in predictions][:MOST_PICTURED]
    return sorted(chosen, key=lambda entry: -mean.get(entry, 0))


def _predicted(game: str, entry: Entry, predictions: Predictions) -> Predicted:
    protocol = protocol_of(entry.method, "converged")
    if protocol not in predictions.predicted:
        protocol = next(iter(predictions.predicted))
    title = entry.title
    values = predictions.predicted[protocol]
    return Predicted(
        title=f"{title}, {PROTOCOLS.get(protocol, protocol)}",
        agreement=tuple(
            Plot(
                name,
                draw_agreement(
                    predictions.labels[:, v], values[:, v], what=f"{game}, {title}, {name}"
                ),
            )
            for v, name in enumerate(predictions.variables)
        ),
        pictures=tuple(draw_marks(game, predictions, protocol)),
    )


def _of(runs: Sequence[Run], entry: Entry) -> list[Run]:
    return [run for run in runs if run.entry == entry]
