"""Which cells a benchmark has: games x methods x seeds, by name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from math import ceil
from typing import Any

from lightning_stdim.benchmark.cells import NEEDS_FILE, USUAL, Option, RunSpec, check_method
from lightning_stdim.datamodules.emulator.emulator import Emulator
from lightning_stdim.datamodules.labels.games import canonical_game
from lightning_stdim.datamodules.labels.games import games as annotated_games
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
class Sweep:
    """What is varied beside games, methods and seeds; with all at their defaults, nothing.

    Args:
        pretrain_steps: frames to pretrain on, in place of the preset's. Epochs are more or fewer in
            turn, so that the optimiser takes as many steps at most.
        policies: who plays, as for ``collect``; ``{game}`` in a file's name stands for the game.
            Every trained encoder is probed on the other policies' frames, too.
        modes: numbers of the games' modes, and "default" for the preset's. Every trained encoder is
            probed on the other modes' frames, too.
        probes: "linear", and "mlp" for one hidden layer of 256 on standardised features, under the
            ``paper`` protocol alone.
        classes: that a probe can predict: "all", or those "observed" in training; likewise.
        transfer: probe every trained encoder on the other games, too.

    Raises:
        ConfigurationError: a number of frames is not positive, or there is no such choice.
    """

    pretrain_steps: tuple[int, ...] = ()
    policies: tuple[str, ...] = ()
    modes: tuple[str, ...] = ()
    probes: tuple[str, ...] = ("linear",)
    classes: tuple[str, ...] = ("all",)
    transfer: bool = False

    def __post_init__(self) -> None:
        if self.pretrain_steps and min(self.pretrain_steps) < 1:
            raise ConfigurationError(
                f"pretrain_steps {min(self.pretrain_steps)} is not positive; it counts frames"
            )
        for mode in self.modes:
            if mode != USUAL and not mode.isdecimal():
                raise ConfigurationError(f"mode {mode!r}: expected a number or {USUAL}")
        for name, choices in (("probes", PROBES), ("classes", CLASSES)):
            for value in getattr(self, name):
                if value not in choices:
                    raise ConfigurationError(
                        f"{name} {value!r} is unknown: choose from {', '.join(choices)}"
                    )

    @classmethod
    def parse(
        cls,
        *,
        pretrain_steps: str,
        policies: str,
        modes: str,
        probes: str,
        classes: str,
        transfer: bool,
    ) -> Sweep:
        """Read what a command line says.

        Args:
            pretrain_steps: numbers separated by commas; may be empty.
            policies: separated by commas; may be empty.
            modes: separated by commas; may be empty.
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
        return cls(
            steps,
            several(policies),
            tuple(str(int(mode)) if mode.isdecimal() else mode for mode in several(modes)),
            several(probes),
            several(classes),
            transfer,
        )


def grid(
    games: Sequence[str],
    methods: Sequence[str],
    seeds: Sequence[int],
    *,
    axes: Sweep | None = None,
    preset: str = "laptop",
) -> list[RunSpec]:
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
        ConfigurationError: something is missing, or there is no such game, method or mode.
    """
    for name, values in {"games": games, "methods": methods, "seeds": seeds}.items():
        if not values:
            raise ConfigurationError(f"no {name} given; at least one is needed")
    if min(seeds) < 0:
        raise ConfigurationError(f"seed {min(seeds)} is negative; seeds are 0 or more")
    chosen = [check_method(name) for method in methods for name in _methods(method)]
    played = [canonical_game(name) for game in games for name in _games(game)]
    axes = axes or Sweep()
    settings = read_preset(preset)
    conditions = {game: _conditions(game, axes, settings) for game in played}
    cells: list[RunSpec] = []
    for seed in seeds:
        trained = [
            (RunSpec(game, method, seed, options), place)
            for game, method in product(played, chosen)
            for place, condition in enumerate(conditions[game])
            for options in _trainings(_non_default(condition, settings), method, axes, settings)
        ]
        cells += (cell for cell, _ in trained)
        for cell, place in trained:
            cells += _probes(cell, place, conditions, axes, settings)
    return list(dict.fromkeys(cells))


def _conditions(game: str, axes: Sweep, settings: Mapping[str, Any]) -> list[tuple[Option, Option]]:
    """Give the ways in which a game's frames are collected: who plays, in which mode."""
    usual = dict(_usual(settings))
    policies = [policy.replace("{game}", game) for policy in axes.policies or (usual["policy"],)]
    modes = axes.modes or (usual["mode"],)
    for mode in modes:
        if mode != USUAL:
            Emulator(game, mode=int(mode))  # fails before hours are spent on the others
    return [(("policy", policy), ("mode", mode)) for policy, mode in product(policies, modes)]


def _trainings(
    options: tuple[Option, ...], method: str, axes: Sweep, settings: Mapping[str, Any]
) -> Iterator[tuple[Option, ...]]:
    """Give the options of a method's runs that train on one condition's frames."""
    if not axes.pretrain_steps or method in UNTRAINED:
        yield options
        return
    frames = settings["trainer"]["max_epochs"] * settings["data"]["steps"]
    for steps in axes.pretrain_steps:
        if steps == settings["data"]["steps"]:
            yield options
        else:
            yield (*options, ("steps", str(steps)), ("max_epochs", str(ceil(frames / steps))))


def _probes(
    cell: RunSpec,
    place: int,
    conditions: Mapping[str, Sequence[tuple[Option, Option]]],
    axes: Sweep,
    settings: Mapping[str, Any],
) -> Iterator[RunSpec]:
    """Give the further probes of a trained cell's encoder, on frames of the same kind or others."""
    if cell.method == "majority":  # has none
        return
    own = conditions[cell.game][place]
    here = _non_default(own, settings)
    for probe, classes in product(axes.probes, axes.classes):
        # Raw features would have it measure their scale: docs/probe-protocols.md.
        options = [("hidden", HIDDEN), ("standardize", "true")] if probe == "mlp" else []
        options += [("classes", classes)] if classes != "all" else []
        if options:  # both are choices of the paper protocol: the other would only be done again
            options.append(("protocols", "paper"))
            yield RunSpec(cell.game, cell.method, cell.seed, (*here, *options), cell)
    if cell.method == "random-cnn":  # the seed alone makes its encoder, wherever it is probed
        return
    for other in conditions[cell.game]:
        if other != own:
            unusual = _non_default(other, settings)
            told = tuple(option for option in other if option in unusual or option not in own)
            yield RunSpec(cell.game, cell.method, cell.seed, told, cell)
    if axes.transfer:
        for game, found in conditions.items():
            if game != cell.game:
                there = _non_default(found[place], settings)
                yield RunSpec(game, cell.method, cell.seed, there, cell)


def _usual(settings: Mapping[str, Any]) -> tuple[Option, Option]:
    """Give the condition of the preset."""
    return ("policy", settings.get("data", {}).get("policy", "random")), ("mode", USUAL)


def _non_default(condition: Sequence[Option], settings: Mapping[str, Any]) -> tuple[Option, ...]:
    """Leave out what the preset says."""
    return tuple(option for option in condition if option not in _usual(settings))


def _games(name: str) -> Sequence[str]:
    return annotated_games("paper") if name == ALL else [name]


def _methods(name: str) -> Sequence[str]:
    if name != ALL:
        return [name]
    return ["majority", *(method for method in method_names() if method not in NEEDS_FILE)]
