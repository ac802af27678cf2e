"""Which cells a benchmark has: games x methods x seeds, by name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from math import ceil
from typing import Any

from lightning_stdim.benchmark.cells import NEEDS_FILE, Cell, Option, check_method
from lightning_stdim.datamodules.labels import canonical_game
from lightning_stdim.datamodules.labels import games as annotated_games
from lightning_stdim.errors import ConfigurationError
from lightning_stdim.presets import method_names, read_preset

ALL = "all"

UNTRAINED = ("majority", "random-cnn", "supervised", "pretrained-agent")
"""Methods that use no frames to pretrain on."""

HIDDEN = "256"
"""Units of the hidden layer of the probe ``"mlp"``."""

PROBES = ("linear", "mlp")
CLASSES = ("all", "observed")


@dataclass(frozen=True)
class Axes:
    """What is varied beside games, methods and seeds; with all at their defaults, nothing.

    Args:
        pretrain_steps: frames to pretrain on, in place of the preset's. Epochs are more or fewer in
            turn, so that the optimiser takes as many steps at most.
        policies: who plays, as for ``collect``; ``{game}`` in a file's name stands for the game.
            Every encoder is probed on the other policies' frames, too.
        probes: "linear", and "mlp" for one hidden layer of 256 on standardised features, under the
            ``paper`` protocol.
        classes: that a probe can predict: "all", or those "observed" in training.
        transfer: probe every encoder on the other games, too.

    Raises:
        ConfigurationError: a number of frames is not positive, or there is no such choice.
    """

    pretrain_steps: tuple[int, ...] = ()
    policies: tuple[str, ...] = ()
    probes: tuple[str, ...] = ("linear",)
    classes: tuple[str, ...] = ("all",)
    transfer: bool = False

    def __post_init__(self) -> None:
        if self.pretrain_steps and min(self.pretrain_steps) < 1:
            raise ConfigurationError(
                f"pretrain_steps {min(self.pretrain_steps)} is not positive; it counts frames"
            )
        for name, choices in (("probes", PROBES), ("classes", CLASSES)):
            for value in getattr(self, name):
                if value not in choices:
                    raise ConfigurationError(
                        f"{name} {value!r} is unknown: choose from {', '.join(choices)}"
                    )

    @classmethod
    def parse(
        cls, *, pretrain_steps: str, policies: str, probes: str, classes: str, transfer: bool
    ) -> Axes:
        """Read what a command line says.

        Args:
            pretrain_steps: numbers separated by commas; may be empty.
            policies: separated by commas; may be empty.
            probes: separated by commas.
            classes: separated by commas.
            transfer: as it is.

        Returns:
            The axes.

        Raises:
            ConfigurationError: something is no number, or no choice.
        """

        def several(text: str) -> tuple[str, ...]:
            return tuple(part.strip() for part in text.split(",") if part.strip())

        try:
            steps = tuple(int(part) for part in several(pretrain_steps))
        except ValueError:
            raise ConfigurationError(
                f"pretrain_steps {pretrain_steps!r}: expected numbers of frames, such as 3000,10000"
            ) from None
        return cls(steps, several(policies), several(probes), several(classes), transfer)


def grid(
    games: Sequence[str],
    methods: Sequence[str],
    seeds: Sequence[int],
    *,
    axes: Axes | None = None,
    preset: str = "laptop",
) -> list[Cell]:
    """Spell out the cells.

    Args:
        games: any spelling that is understood elsewhere; ``"all"`` stands for the paper's 22.
        methods: ``"majority"``, names from ``presets.method_names``, classes of methods such as
            ``"my_module.MyMethod"``, or YAML files with options of ``fit``; ``"all"`` stands for
            all that need no further file.
        seeds: at least one, none negative.
        axes: what else is varied.
        preset: whose budget the axes change.

    Returns:
        The cells, each once, after those whose encoders they probe. Every seed completes a table
        before the next one begins.

    Raises:
        ConfigurationError: something is missing, or there is no such game or method.
    """
    for name, values in {"games": games, "methods": methods, "seeds": seeds}.items():
        if not values:
            raise ConfigurationError(f"no {name} given; at least one is needed")
    if min(seeds) < 0:
        raise ConfigurationError(f"seed {min(seeds)} is negative; seeds are 0 or more")
    chosen = [check_method(name) for method in methods for name in _methods(method)]
    played = [canonical_game(name) for game in games for name in _games(game)]
    axes = axes or Axes()
    settings = read_preset(preset)
    cells: list[Cell] = []
    for seed in seeds:
        trained = [
            Cell(game, method, seed, options)
            for game, method in product(played, chosen)
            for options in _trainings(game, method, axes, settings)
        ]
        cells += trained
        cells += (probe for cell in trained for probe in _probes(cell, played, axes, settings))
    return list(dict.fromkeys(cells))


def _trainings(
    game: str, method: str, axes: Axes, settings: Mapping[str, Any]
) -> Iterator[tuple[Option, ...]]:
    """Give the options of a method's runs that train."""
    for policy in _policies(game, axes, settings):
        options = () if policy == _usual(settings) else (("policy", policy),)
        if not axes.pretrain_steps or method in UNTRAINED:
            yield options
            continue
        frames = settings["trainer"]["max_epochs"] * settings["data"]["steps"]
        for steps in axes.pretrain_steps:
            epochs = str(ceil(frames / steps))
            yield (*options, ("steps", str(steps)), ("max_epochs", epochs))


def _probes(
    cell: Cell, played: Sequence[str], axes: Axes, settings: Mapping[str, Any]
) -> Iterator[Cell]:
    """Give the further probes of a trained cell's encoder."""
    if cell.method == "majority":  # has none
        return
    for probe, classes in product(axes.probes, axes.classes):
        # Raw features would have it measure their scale: docs/probe-protocols.md.
        options = [("hidden", HIDDEN), ("standardize", "true")] if probe == "mlp" else []
        options += [("classes", classes)] if classes != "all" else []
        if options:
            yield Cell(cell.game, cell.method, cell.seed, tuple(options), cell)
    own = dict(cell.options).get("policy", _usual(settings))
    for policy in _policies(cell.game, axes, settings):
        if policy != own:
            yield Cell(cell.game, cell.method, cell.seed, (("policy", policy),), cell)
    if axes.transfer:
        for game in played:
            if game != cell.game:
                yield Cell(game, cell.method, cell.seed, (), cell)


def _policies(game: str, axes: Axes, settings: Mapping[str, Any]) -> list[str]:
    return [policy.replace("{game}", game) for policy in axes.policies or (_usual(settings),)]


def _usual(settings: Mapping[str, Any]) -> str:
    """Give the policy of the preset."""
    policy: str = settings.get("data", {}).get("policy", "random")
    return policy


def _games(name: str) -> Sequence[str]:
    return annotated_games("paper") if name == ALL else [name]


def _methods(name: str) -> Sequence[str]:
    if name != ALL:
        return [name]
    return ["majority", *(method for method in method_names() if method not in NEEDS_FILE)]
