"""The annotated games: their names, and which label sets they are in."""

from __future__ import annotations

import difflib
import json
import re
from functools import cache
from importlib.resources import files
from typing import Any, Literal, get_args

from lightning_stdim.errors import ConfigurationError

LabelSet = Literal["paper", "upstream"]


@cache
def annotation_facts() -> dict[str, Any]:
    """Read ``annotations.json``, once.

    Returns:
        Its content: under each label set's name the set's games, under ``"versions"`` the sets'
        versions, and under ``"probed_in_paper"`` the variables that the paper probed.
    """
    facts: dict[str, Any] = json.loads(
        files("lightning_stdim.datamodules.labels").joinpath("annotations.json").read_text("utf-8")
    )
    return facts


def games(label_set: LabelSet) -> tuple[str, ...]:
    """List the games that a label set annotates.

    Args:
        label_set: ``"paper"`` (22 games) or ``"upstream"`` (24 games).

    Returns:
        Canonical names, in alphabetical order.

    Raises:
        ConfigurationError: there is no such label set.
    """
    if label_set not in get_args(LabelSet):
        raise ConfigurationError(
            f"label set {label_set!r} is unknown: choose one of {', '.join(get_args(LabelSet))}"
        )
    return tuple(sorted(annotation_facts()[label_set]))


def canonical_game(name: str) -> str:
    """Translate a game's name into the spelling that this package uses.

    Args:
        name: any usual spelling: ``"mspacman"``, ``"ms_pacman"``, ``"MsPacman"``,
            ``"MsPacmanNoFrameskip-v4"``, ``"ALE/MsPacman-v5"``.

    Returns:
        The canonical name, such as ``"mspacman"``.

    Raises:
        ConfigurationError: no annotated game has that name. The message suggests a similar name,
            and lists them all.
    """
    game = _bare(name)
    known = games("upstream")  # every game of "paper" is among them
    if game not in known:
        near = nearest_game(name)
        hint = f": did you mean {near!r}?" if near else "."
        raise ConfigurationError(
            f"game {name!r} is not annotated{hint} The annotated games are {', '.join(known)}"
        )
    return game


def nearest_game(name: str) -> str | None:
    """Find the annotated game whose name is most similar to a text.

    Args:
        name: any text.

    Returns:
        A canonical name; None if no name is similar.
    """
    return next(iter(difflib.get_close_matches(_bare(name), games("upstream"), n=1)), None)


def _bare(name: str) -> str:
    """Remove everything in which the spellings of a game's name differ."""
    bare = re.sub(r"(NoFrameskip|Deterministic|-ram)*(-v\d+)?$", "", name.strip().split("/")[-1])
    return re.sub(r"[^a-z0-9]", "", bare.lower())


def default_label_set(game: str) -> LabelSet:
    """Choose a game's label set for when none is given.

    Args:
        game: any spelling that :func:`canonical_game` knows.

    Returns:
        ``"paper"`` where it has the game, else ``"upstream"``.
    """
    return "paper" if canonical_game(game) in games("paper") else "upstream"
