"""The AtariARI annotations: which bytes of an Atari game's RAM hold which state variables.

They are in ``annotations.json`` beside this file, as two label sets:

* ``"paper"``: the 308 variables of 22 games that Anand et al. scored (NeurIPS 2019, arXiv
  1906.08226);
* ``"upstream"``: the 362 variables of 24 games in the authors' repository today.

Every set has a version, which changes with any of its labels. In both sets a label is the value of
one RAM byte, 0 to 255; the file's format allows other codes
(:mod:`~lightning_stdim.datamodules.labels.ram_codes`). Only scores on ``"paper"`` can be compared
with published ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from lightning_stdim.datamodules.labels.games import (
    LabelSet,
    annotation_facts,
    canonical_game,
    default_label_set,
    games,
)
from lightning_stdim.datamodules.labels.ram_codes import RAM_BYTES, Code
from lightning_stdim.errors import ConfigurationError

CATEGORIES = (
    "small_object_localization",
    "agent_localization",
    "other_localization",
    "score_clock_lives_display",
    "misc_keys",
)
"""The score categories, in the order of the paper's tables."""

MAX_LABEL = 255
"""The largest label that a collection's file can store and that probes have a class for."""


@dataclass(frozen=True)
class Annotation:
    """The annotated state variables of one game in one label set.

    Attributes:
        game: canonical name, such as ``"pong"``.
        label_set: ``"paper"`` or ``"upstream"``.
        version: version of the label set. Scores of different versions cannot be compared.
        variables: names of the V variables, in column order.
        codes: how each variable is stored in the RAM.
        categories: for each variable the score categories that it counts in (none, one or two).
    """

    game: str
    label_set: str
    version: int
    variables: tuple[str, ...]
    codes: tuple[Code, ...]
    categories: dict[str, tuple[str, ...]]

    @classmethod
    def parse(
        cls, game: str, label_set: str, version: int, entries: Mapping[str, Mapping[str, Any]]
    ) -> Annotation:
        """Read a game's annotation from an entry of ``annotations.json``.

        Args:
            game: canonical name.
            label_set: name of the label set.
            version: version of the label set.
            entries: for each variable ``"categories"`` and what :meth:`Code.parse` reads.

        Returns:
            The annotation.

        Raises:
            ConfigurationError: an entry does not describe a code.
        """
        return cls(
            game=game,
            label_set=label_set,
            version=version,
            variables=tuple(entries),
            codes=tuple(Code.parse(entry) for entry in entries.values()),
            categories={name: tuple(entry["categories"]) for name, entry in entries.items()},
        )

    def decode(self, ram: NDArray[np.uint8]) -> NDArray[np.int64]:
        """Read the state variables from the RAM.

        Args:
            ram: uint8 [..., 128], the RAM at any number of moments.

        Returns:
            int64 [..., V], in the order of ``variables``.

        Raises:
            ConfigurationError: `ram` is not uint8 [..., 128].
        """
        ram = np.asarray(ram)
        if ram.dtype != np.uint8 or ram.ndim < 1 or ram.shape[-1] != RAM_BYTES:
            raise ConfigurationError(
                f"ram is {ram.dtype} of shape {ram.shape}: expected uint8 [..., {RAM_BYTES}]"
            )
        # All plain bytes at once: the Gymnasium wrapper calls this at every step.
        labels = ram[..., [code.ram[0] for code in self.codes]].astype(np.int64)
        for column, code in enumerate(self.codes):
            if code.decoding != "byte":
                labels[..., column] = code.decode(ram)
        return labels

    def check_bytes(self) -> None:
        """Make sure that every label fits in a byte, as files and probes need it.

        Raises:
            ConfigurationError: a variable can have a label above 255.
        """
        for name, code in zip(self.variables, self.codes, strict=True):
            if code.highest > MAX_LABEL:
                raise ConfigurationError(
                    f"{name} of {self.game} in label set {self.label_set!r} has labels up to "
                    f"{code.highest}: files and probes take labels up to {MAX_LABEL}; use another "
                    "label set"
                )


def annotation(game: str, label_set: LabelSet = "paper") -> Annotation:
    """Look up the annotated variables of a game.

    Args:
        game: any spelling that :func:`canonical_game` knows.
        label_set: ``"paper"`` or ``"upstream"``.

    Returns:
        The variables, where they are in the RAM, and their categories.

    Raises:
        ConfigurationError: the game is unknown, or not in this label set but in the other.
    """
    game = canonical_game(game)
    if game not in games(label_set):
        raise ConfigurationError(
            f"game {game!r} is not in label set {label_set!r}: "
            "use label set 'upstream', which has it"
        )
    facts = annotation_facts()
    return Annotation.parse(game, label_set, facts["versions"][label_set], facts[label_set][game])


def probed_in_paper(game: str, agent: Literal["random_agent", "ppo_agent"]) -> tuple[str, ...]:
    """List the variables that survived the entropy filter in the paper's experiments.

    Args:
        game: any spelling that :func:`canonical_game` knows.
        agent: the agent whose frames were probed.

    Returns:
        Variable names of label set ``"paper"``, in the order of the paper's table; empty for a game
        that the paper does not have.
    """
    return tuple(annotation_facts()["probed_in_paper"][agent].get(canonical_game(game), ()))


def ram2label(
    game: str, ram: NDArray[np.uint8], label_set: LabelSet | None = None
) -> NDArray[np.int64]:
    """Read the state variables from the RAM.

    Args:
        game: any spelling that :func:`canonical_game` knows.
        ram: uint8 [..., 128], the RAM at one moment or at any number of them.
        label_set: ``"paper"`` or ``"upstream"``; by default the paper's where it has the game.

    Returns:
        int64 [..., V], values 0 to 255; column v is ``annotation(game, label_set).variables[v]``.

    Raises:
        ConfigurationError: the game is unknown or not in the label set, or `ram` is not uint8
            [..., 128].
    """
    return annotation(game, label_set or default_label_set(game)).decode(ram)
