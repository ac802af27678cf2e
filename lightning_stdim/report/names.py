"""How methods, games, metrics and protocols are called and ordered in a report."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Literal

from lightning_stdim.runs.results import Metric

METRICS: dict[Metric, str] = {"f1": "F1 (weighted by class support)", "accuracy": "Accuracy"}

METHODS = {
    "majority": "Majority",
    "random-cnn": "Random-CNN",
    "vae": "VAE",
    "pixel-pred": "Pixel-Pred",
    "cpc": "CPC",
    "static-dim": "Static-DIM",
    "global-t-dim": "Global-T-DIM",
    "jsd-st-dim": "JSD-ST-DIM",
    "st-dim-global-local": "ST-DIM, global-local",
    "st-dim-local-local": "ST-DIM, local-local",
    "st-dim": "ST-DIM",
    "dim-ua": "DIM-UA",
    "dim-ua-large": "DIM-UA, 16 384 units",
    "vicreg": "VICReg",
    "byol": "BYOL",
    "latent-prediction": "Latent prediction",
    "pretrained-agent": "Pretrained agent",
    "supervised": "Supervised",
}
"""Display names, in the order of the columns; methods that are not here come last."""


def name_of(method: str, variant: str = "") -> str:
    """Name runs that are averaged together, as their directories do.

    Args:
        method: its name.
        variant: in what the runs differ from their preset; may be empty.

    Returns:
        Such as ``"st-dim"`` or ``"st-dim,steps=3000"``.
    """
    return ",".join(filter(None, (method, variant)))


def display(name: str) -> str:
    """Write a name for people.

    Args:
        name: from :func:`name_of`.

    Returns:
        Such as ``"ST-DIM"`` or ``"ST-DIM (steps=3000)"``.
    """
    method, _, variant = name.partition(",")
    title = METHODS.get(method, method)
    return f"{title} ({variant})" if variant else title


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
"""Games that are not called by their canonical name with a capital."""


def game_title(game: str) -> str:
    """Write a game's name for people.

    Args:
        game: canonical name.

    Returns:
        Such as ``"Ms. Pac-Man"``.
    """
    return TITLES.get(game, game.capitalize())


def in_order(names: Iterable[str]) -> list[str]:
    """Put names in the order of the display, each once.

    Args:
        names: from :func:`name_of`.

    Returns:
        The same names.
    """
    rank = sort_key(METHODS)
    return sorted(set(names), key=lambda name: (rank(name.partition(",")[0]), name))


ALWAYS = ("majority", "random-cnn", "st-dim", "supervised")
"""Methods whose published numbers are shown even if nobody ran them; others' beside ours only."""

PROTOCOLS = {
    "majority": "",
    "supervised": "end to end",
    "paper": "paper",
    "converged": "converged",
}

CATEGORY_LABELS = {
    "small_object_localization": "Small object localization",
    "agent_localization": "Agent localization",
    "other_localization": "Other localization",
    "score_clock_lives_display": "Score/clock/lives/display",
    "misc_keys": "Miscellaneous",
}

Group = Literal["ours", "report", "paper"]


def sort_key(order: Iterable[str]) -> Callable[[str], tuple[int, str]]:
    """Make a sorting key: the given names in their order, then the others by name.

    Args:
        order: the names that come first.

    Returns:
        The key function.
    """
    ranks = {name: rank for rank, name in enumerate(order)}
    return lambda name: (ranks.get(name, len(ranks)), name)
