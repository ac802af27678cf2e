"""The published tables laid out again, with our numbers beside the published ones."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import partial
from statistics import fmean

from lightning_stdim.report import published
from lightning_stdim.report.names import (
    CATEGORY_LABELS,
    GROUPS,
    REPORT_F1,
    Entry,
    Group,
    game_title,
)
from lightning_stdim.report.published import Agent
from lightning_stdim.report.statistics.student import stratified_mean_with_ci
from lightning_stdim.report.tables.comparison import MOST_METHODS, Column, ScoreCell, Table
from lightning_stdim.report.tables.notes import SUPERVISED_OF_REPORT
from lightning_stdim.report.tables.printable import (
    Block,
    Line,
    Protocol,
    Sheet,
    SignedCell,
    entries_of,
    protocol_of,
    transposed,
)

Find = Callable[[Group, Entry, str], ScoreCell | None]
"""A function from the origin of the numbers, the method and ``Column.scored_by`` to a score."""

PAPER: dict[Group, Agent] = {"paper": "random", "paper-ppo": "ppo"}
"""The paper's numbers, by the agent that collected the frames."""

OVER_22_GAMES: dict[Group, Callable[[str, str], float | None]] = {
    "paper": published.paper_category,
    "reproduction": published.reproduction_category,
    "paper-ppo": partial(published.paper_category, agent="ppo"),
}
"""The published F1 of a category and a method, mean over 22 games, by origin."""

COMPLETE = "A mean over games is given where none is missing."


def table_2(games: Mapping[str, Table], protocol: Protocol) -> Sheet:
    """Lay out games x methods, as the paper's Table 2 (and 8, of the ablations).

    Args:
        games: for each game its comparison of one metric.
        protocol: the protocol of our scores. Only those of ``paper`` have published numbers beside
            them.

    Returns:
        The sheet, with a mean over games if there are several. If there are many methods and fewer
        games, methods are the rows and games the columns.
    """
    entries = entries_of(games.values())
    groups = _groups(games.values(), protocol)
    rows = {game_title(game): _mean_over_categories(table) for game, table in games.items()}
    if len(games) > 1:
        rows["Mean over games"] = mean_over_games(games)
    blocks = [Block(name, _lines(find, entries, groups, protocol)) for name, find in rows.items()]
    title = f"F1 by game, mean over categories, {protocol} protocol"
    return _by_method(title, entries, blocks, games)


def mean_over_games(games: Mapping[str, Table]) -> Find:
    """Average the mean over categories over games.

    Args:
        games: for each game its comparison of one metric.

    Returns:
        A function from the origin of the numbers, the method and the protocol to the mean, or to
        None if a game is missing. Our means have a Student interval if every game has several runs.
    """
    return _mean_of([_mean_over_categories(table) for table in games.values()])


def _mean_over_categories(table: Table) -> Find:
    return _finder(table, "mean", "mean_over_categories")


def _by_method(
    title: str, entries: Sequence[Entry], blocks: Sequence[Block], games: Collection[str]
) -> Sheet:
    """Make the sheet; if there are many methods and fewer games or categories, methods are rows."""
    notes = (COMPLETE,) if len(games) > 1 else ()
    sheet = Sheet(title, tuple(entry.title for entry in entries), tuple(blocks), notes)
    wide = len(sheet.columns) > max(MOST_METHODS, len(sheet.blocks))
    return transposed(sheet) if wide else sheet


def table_3(games: Mapping[str, Table], protocol: Protocol) -> Sheet:
    """Lay out categories x methods, means over games, as the paper's Table 3.

    Args:
        games: for each game its comparison of F1.
        protocol: as for :func:`table_2`.

    Returns:
        The sheet. The published numbers that ours are compared with are means over our games of
        the printed scores of the variables; what was printed for all 22 games follows.
    """
    entries = entries_of(games.values())
    groups = _groups(games.values(), protocol)
    blocks = []
    for category, label in CATEGORY_LABELS.items():
        finders = [
            _finder(table, "category", category)
            for table in games.values()
            if any(row.name == category for row in table.rows)
        ]
        if not finders:
            continue
        printed = [_over_22_games(category, entries, group, games) for group in groups]
        shown = [line for line in printed if any(line.cells)]
        whose = "ours" if shown else ""
        lines = (*_lines(_mean_of(finders), entries, groups, protocol, whose=whose), *shown)
        blocks.append(Block(label, lines))
    title = f"F1 by category{', mean over games' * (len(games) > 1)}, {protocol} protocol"
    return _by_method(title, entries, blocks, games)


def _over_22_games(
    category: str, entries: Sequence[Entry], group: Group, games: Mapping[str, Table]
) -> Line:
    """Write a published mean of a category over 22 games, for the methods in the tables."""
    there = {c.entry for table in games.values() for c in table.columns if c.group == group}
    printed = (
        OVER_22_GAMES[group](category, entry.method) if entry in there else None
        for entry in entries
    )
    cells = tuple(None if value is None else ScoreCell(value) for value in printed)
    return Line(f"{GROUPS[group]}, 22 games", cells)


def report_table(table: Table) -> Sheet | None:
    """Lay out categories x methods for one game, as the challenge report's tables.

    Args:
        table: the comparison of one metric.

    Returns:
        The sheet; None if that report has no numbers for the game. Where there are scores under
        the ``challenge`` protocol, it is these that are compared with its numbers, by its own F1.
    """
    entries = [column.entry for column in table.columns if column.group == "report"]
    if not entries:
        return None
    challenge = any(column.protocol == "challenge" for column in table.columns)
    metric = REPORT_F1 if table.metric == "f1" else ""
    blocks = []
    for row in table.rows:
        if row.kind == "category" or row.name == "mean_over_categories":
            find = _finder(table, row.kind, row.name)
            if challenge:
                words = ", challenge report’s F1" if metric else ""
                whose = f"ours, challenge{words}"
                lines = _lines(find, entries, ["report"], "challenge", metric=metric, whose=whose)
                if metric:
                    whose = "ours, challenge"
                    lines += _lines(find, entries, [], "challenge", whose=whose)
                whose = "ours, paper"
                lines += _lines(find, entries, ["paper", "reproduction"], "paper", whose=whose)
            else:
                groups: list[Group] = ["report", "paper", "reproduction"]
                lines = _lines(find, entries, groups, "paper", whose="ours, paper")
            converged = tuple(find("ours", entry, "converged") for entry in entries)
            blocks.append(Block(row.label, (*lines, Line("ours, converged", converged))))
    what = {"f1": "F1", "accuracy": "Accuracy"}[table.metric]
    return Sheet(
        title=f"{what} on {game_title(table.game)} by category",
        columns=tuple(entry.title for entry in entries),
        blocks=tuple(blocks),
        notes=(SUPERVISED_OF_REPORT,),
    )


def _lines(
    find: Find,
    entries: Sequence[Entry],
    groups: Sequence[Group],
    protocol: Protocol,
    *,
    metric: str = "",
    whose: str = "",
) -> tuple[Line, ...]:
    """Write our scores, then for every other origin its numbers and the differences."""
    scored_by = {
        entry: " ".join(filter(None, (protocol_of(entry.method, protocol), metric)))
        for entry in entries
    }
    ours = tuple(find("ours", entry, scored_by[entry]) for entry in entries)
    lines = [Line(whose or "ours", ours)]
    for group in groups:
        theirs = tuple(find(group, entry, "") for entry in entries)
        if any(theirs):
            lines.append(Line(GROUPS[group], theirs))
            differences = tuple(map(_difference, ours, theirs))
            if any(differences):
                lines.append(Line(f"ours − {GROUPS[group]}", differences))
    return tuple(lines) if len(lines) > 1 else (Line(whose, ours),)


def _groups(tables: Iterable[Table], protocol: Protocol) -> tuple[Group, ...]:
    """List the origins that compare with our scores; none do under the converged protocol."""
    there = {column.group for table in tables for column in table.columns}
    return tuple(group for group in OVER_22_GAMES if group in there) if protocol == "paper" else ()


def _finder(table: Table, kind: str, name: str) -> Find:
    """Look scores up in one row of a table; of several label sets in the first."""
    cells = next(
        (
            cells
            for row, cells in zip(table.rows, table.cells, strict=True)
            if (row.kind, row.name) == (kind, name)
        ),
        (None,) * len(table.columns),
    )
    row: dict[tuple[str, Entry, str], ScoreCell | None] = {}
    for column, cell in zip(table.columns, cells, strict=True):
        row.setdefault(_key(column), cell)
    return lambda group, entry, protocol: row.get((group, entry, protocol))


def _key(column: Column) -> tuple[str, Entry, str]:
    return column.group, column.entry, column.scored_by


def _mean_of(finders: Sequence[Find]) -> Find:
    """Average over games; nothing where a game is missing."""

    def find(group: Group, entry: Entry, protocol: str) -> ScoreCell | None:
        cells = [find(group, entry, protocol) for find in finders]
        known = [cell for cell in cells if cell is not None]
        if len(known) < len(cells):
            return None
        if len(known) == 1:
            return known[0]
        if group != "ours":
            return ScoreCell(fmean(cell.value for cell in known), derived=True)
        mean = stratified_mean_with_ci([cell.values for cell in known])
        return ScoreCell(mean.mean, mean.half_width, mean.runs)

    return find


def _difference(ours: ScoreCell | None, theirs: ScoreCell | None) -> SignedCell | None:
    return SignedCell(ours.value - theirs.value) if ours and theirs else None
