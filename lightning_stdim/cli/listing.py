"""The command ``list``."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from typing import get_args

from lightning_stdim.catalogue import METHODS, Method
from lightning_stdim.datamodules.labels.annotations import annotation, probed_in_paper
from lightning_stdim.datamodules.labels.games import LabelSet, canonical_game, games
from lightning_stdim.errors import ConfigurationError
from lightning_stdim.presets import method_path, preset_names, preset_path, read_preset, summary

Rows = Iterator[Sequence[object]]

NEEDS = {
    "frames": "frames",
    "labels": "frames and labels",
    "file": "nothing (a file of yours)",
    "nothing": "nothing",
}
"""What a method learns from, by :attr:`Method.needs`."""
LABEL_SETS = {
    "paper": "the variables that the paper scored, for comparison with published numbers",
    "upstream": "all that the paper's authors have annotated since",
}


def list(what: str | None = None, game: str | None = None) -> int:
    """Name the methods, games, labels and presets that ship.

    Example:
        python -m lightning_stdim list labels breakout

    Args:
        what: methods, games, labels or presets; without it, what each of these is.
        game: after labels, name of the game whose labels are listed.

    Returns:
        The exit status.
    """
    tables = {"methods": _methods, "games": _games, "labels": _label_sets, "presets": _presets}
    if what is not None and what not in tables:
        near = difflib.get_close_matches(what, tables, n=1)
        hint = f"did you mean {near[0]!r}? There" if near else "there"
        raise ConfigurationError(f"list has no {what!r}; {hint} are {', '.join(tables)}")
    if game is not None and what != "labels":
        raise ConfigurationError(f"list {what} takes no {game!r}; list labels takes a game")
    if what is None:
        rows = _contents()
    elif game is None:
        rows = tables[what]()
    else:
        rows = _labels(canonical_game(game))
    _print(*rows)
    return 0


def _contents() -> Rows:
    yield "list methods", "what fit and benchmark can train, or score untrained"
    yield "list games", "the games whose RAM is annotated"
    yield "list labels", "the label sets"
    yield "list labels GAME", "the variables of a game that probes can predict"
    yield "list presets", "budgets for fit, probe and benchmark"


def _methods() -> Rows:
    yield "method", "class", "learns from", "what it is"
    for name, method in METHODS.items():
        yield name, (method.class_path or "-").rpartition(".")[2], NEEDS[method.needs], _is(method)


def _is(method: Method) -> str:
    if not method.has_model:
        return "Always the most frequent label."
    return summary(method_path(method.name))


def _games() -> Rows:
    yield "game", *(f"labels in {label_set}" for label_set in get_args(LabelSet))
    for game in games("upstream"):  # every game of "paper" is among them
        yield game, *(len(_variables(game, label_set)) or "-" for label_set in get_args(LabelSet))


def _label_sets() -> Rows:
    yield "label set", "games", "labels", "what it is"
    for label_set in get_args(LabelSet):
        known = games(label_set)
        labels = sum(len(_variables(game, label_set)) for game in known)
        yield label_set, len(known), labels, LABEL_SETS[label_set]


def _labels(game: str) -> Rows:
    yield "label", "RAM bytes", "label sets", "scored in the paper", "categories"
    scored = probed_in_paper(game, "random_agent")
    sets = {name: annotation(game, name) for name in get_args(LabelSet) if game in games(name)}
    for variable in dict.fromkeys(name for one in sets.values() for name in one.variables):
        those = {name: one for name, one in sets.items() if variable in one.variables}
        last = [*those.values()][-1]
        code = last.codes[last.variables.index(variable)]
        yield (
            variable,
            ", ".join(map(str, code.ram)),
            ", ".join(those),
            "yes" if variable in scored else "no",
            ", ".join(last.categories[variable]) or "-",
        )


def _variables(game: str, label_set: LabelSet) -> Sequence[str]:
    return annotation(game, label_set).variables if game in games(label_set) else ()


def _presets() -> Rows:
    yield "preset", "frames to train on", "to probe on", "epochs at most", "what it is"
    for name in preset_names():
        settings = read_preset(name)
        data, epochs = settings["data"], settings["trainer"]["max_epochs"]
        yield name, data["steps"], data["probe_steps"], epochs, summary(preset_path(name))


def _print(*rows: Sequence[object]) -> None:
    """Print columns, aligned and never cut off, so that the lines can be searched."""
    widths = [max(len(str(cell)) for cell in column) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (str(cell).ljust(width) for cell, width in zip(row, widths, strict=True))
        print("  ".join(cells).rstrip())
