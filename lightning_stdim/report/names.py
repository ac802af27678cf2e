"""Names and order of methods, games, metrics and protocols in a report."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Literal, NamedTuple

from lightning_stdim.catalogue import METHODS, method_named
from lightning_stdim.runs.results import Metric

METRICS: dict[Metric, str] = {"f1": "F1 (weighted by class support)", "accuracy": "Accuracy"}

REPORT_F1 = "report_f1"
"""The metric, in results with the ``challenge`` protocol, that compares with the challenge report's
F1: it is computed as that report did (``probes.metrics.report_f1``)."""


class Entry(NamedTuple):
    """An entry of a comparison: runs of one method that differ in game and seed alone.

    Attributes:
        method: the method's name in the runs' keys.
        variant: how the runs differ from their preset; empty if they do not.
    """

    method: str
    variant: str = ""

    @property
    def title(self) -> str:
        """The name for people, such as ``"ST-DIM"`` or ``"ST-DIM (steps=3000)"``."""
        title = method_named(self.method).title
        return f"{title} ({self.variant})" if self.variant else title

    def __str__(self) -> str:
        return self.title


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
"""Titles of the games that are not just the canonical name with a capital."""


def game_title(game: str) -> str:
    """Write a game's name for people.

    Args:
        game: canonical name.

    Returns:
        Such as ``"Ms. Pac-Man"``.
    """
    return TITLES.get(game, game.capitalize())


def in_order(entries: Iterable[Entry]) -> list[Entry]:
    """Sort entries as tables list them.

    Args:
        entries: the entries, in any order.

    Returns:
        The same, each once: methods in the order of the catalogue, then the user's own by name; the
        variants of a method come after its runs with the preset.
    """
    rank = sort_key(METHODS)
    return sorted(set(entries), key=lambda entry: (rank(entry.method), entry.variant))


PROTOCOLS = {
    "majority": "",
    "supervised": "end to end",
    "paper": "paper",
    "converged": "converged",
    "challenge": "challenge",
}

CATEGORY_LABELS = {
    "small_object_localization": "Small object localization",
    "agent_localization": "Agent localization",
    "other_localization": "Other localization",
    "score_clock_lives_display": "Score/clock/lives/display",
    "misc_keys": "Miscellaneous",
}

Group = Literal["ours", "report", "paper", "reproduction", "paper-ppo"]
"""The origin of a number: this package; the report of the NeurIPS 2019 Reproducibility Challenge;
the paper, for frames of a random agent; an independent reproduction of that; the paper, for frames
of its PPO agent. CSV files have these names. Readers see those of :data:`GROUPS`: to them, paper is
the protocol of that name, and the report is what they read."""

GROUPS: dict[Group, str] = {
    "ours": "ours",
    "report": "challenge report",
    "paper": "published",
    "reproduction": "reproduction",
    "paper-ppo": "published, PPO agent",
}
"""Names of the origins in tables."""

GROUPS_IN_WORDS: dict[Group, str] = {
    "ours": "this package",
    "report": "the challenge report",
    "paper": "published",
    "reproduction": "a reproduction",
    "paper-ppo": "published, PPO agent",
}
"""Names of the origins in text."""


def sort_key(order: Iterable[str]) -> Callable[[str], tuple[int, str]]:
    """Make a sorting key: the given names in their order, then the others by name.

    Args:
        order: the names that come first.

    Returns:
        The key function.
    """
    ranks = {name: rank for rank, name in enumerate(order)}
    return lambda name: (ranks.get(name, len(ranks)), name)
