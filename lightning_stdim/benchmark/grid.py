"""The runs of a benchmark: games x methods x seeds, and what is varied beside them."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

from lightning_stdim.benchmark.run_spec import (
    USUAL,
    RunSpec,
    check_method,
    class_of,
    name_of,
    of_catalogue,
)
from lightning_stdim.catalogue import METHODS
from lightning_stdim.datamodules.emulator.emulator import Emulator
from lightning_stdim.datamodules.labels.games import canonical_game
from lightning_stdim.datamodules.labels.games import games as annotated_games
from lightning_stdim.errors import ConfigurationError
from lightning_stdim.presets import read_preset
from lightning_stdim.runs.key import Option, RunKey
from lightning_stdim.utils.comma_separated import comma_separated
from lightning_stdim.utils.user_code import import_from

ALL = "all"

HIDDEN = "256"
"""Number of units in the hidden layer of the probe ``"mlp"``."""

PROBES = ("linear", "mlp")
CLASSES = ("all", "observed")

LONGEST_NAME = 255
"""Number of bytes that file systems allow for a name."""


@dataclass(frozen=True)
class Sweep:
    """Settings that are varied beside games, methods and seeds; by default none.

    Args:
        pretrain_steps: numbers of frames to pretrain on, instead of the preset's. The number of
            epochs is adapted, so that the optimiser takes at most as many steps.
        policies: who plays, as for ``collect``; ``{game}`` in a file's name stands for the game.
            Every trained encoder is also probed on the other policies' frames.
        modes: numbers of game modes, and "default" for the preset's. Every trained encoder is also
            probed on the other modes' frames.
        probes: "linear", and "mlp" for one hidden layer of 256 units on standardised features,
            under the ``paper`` protocol alone.
        classes: classes that a probe can predict: "all", or those "observed" in training; the
            latter under the ``paper`` protocol alone.
        transfer: also probe every trained encoder on the other games.

    Raises:
        ConfigurationError: a number of frames is not positive, or a choice is unknown.
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
    def parse(cls, *, transfer: bool = False, **lists: str) -> Sweep:
        """Make a sweep from text, such as a command line's.

        Args:
            transfer: as for the class.
            **lists: values of the other arguments, separated by commas; an empty text stands for no
                values.

        Returns:
            The sweep.

        Raises:
            ConfigurationError: a value is not a number where one is needed, or a choice is unknown.
        """
        values: dict[str, Any] = {name: comma_separated(text) for name, text in lists.items()}
        try:
            values["pretrain_steps"] = tuple(map(int, values.get("pretrain_steps", ())))
        except ValueError:
            raise ConfigurationError(
                f"pretrain_steps {lists['pretrain_steps']!r}: expected numbers of frames, such as "
                "3000,10000"
            ) from None
        modes = values.get("modes", ())
        values["modes"] = tuple(str(int(mode)) if mode.isdecimal() else mode for mode in modes)
        return cls(**values, transfer=transfer)


def grid(
    games: Sequence[str],
    methods: Sequence[str],
    seeds: Sequence[int],
    *,
    sweep: Sweep | None = None,
    preset: str = "laptop",
    protocols: str = "",
) -> list[RunSpec]:
    """List the runs of a benchmark.

    Args:
        games: names of games in any spelling; ``"all"`` stands for the paper's 22.
        methods: names of the catalogue, classes of methods such as ``"my_module.MyMethod"``, or
            YAML files with options of ``fit``; ``"all"`` stands for all methods of the catalogue
            that need no file.
        seeds: at least one, none negative.
        sweep: what else is varied.
        preset: name of a shipped preset, or a YAML file, that the sweep changes.
        protocols: names of the probe protocols, separated by commas; empty for the preset's. Probes
            that only ``paper`` has are made under it alone.

    Returns:
        The runs, each once, after the runs whose encoders they probe. All runs of a seed come
        before those of the next one, so that tables fill up seed by seed.

    Raises:
        ConfigurationError: no game, method or seed is given, one is unknown, or a protocol is, or
            two runs would share a directory.
    """
    for name, values in {"games": games, "methods": methods, "seeds": seeds}.items():
        if not values:
            raise ConfigurationError(f"no {name} given; at least one is needed")
    if min(seeds) < 0:
        raise ConfigurationError(f"seed {min(seeds)} is negative; seeds are 0 or more")
    chosen = [check_method(name) for method in methods for name in _methods(method)]
    played = [canonical_game(name) for game in games for name in _games(game)]
    sweep = sweep or Sweep()
    if protocols:
        from lightning_stdim.probes import check_protocols  # late: it imports torch

        protocols = ",".join(check_protocols(protocols))
    settings = read_preset(preset)
    conditions = {game: _conditions(game, sweep, settings) for game in played}
    lengths = {method: _lengths(method, sweep, settings) for method in chosen}
    specs: list[RunSpec] = []
    for seed in seeds:
        trained = [
            (RunSpec(key, method, protocols), place)
            for game, method in product(played, chosen)
            for place, condition in enumerate(conditions[game])
            for frames in [_non_default(condition, settings)]
            for length in lengths[method]
            for key in [RunKey(game, name_of(method), seed, (*frames, *length))]
        ]
        specs += (spec for spec, _ in trained)
        for spec, place in trained:
            keys = _probes(spec, place, conditions, sweep, settings)
            specs += (replace(spec, key=key) for key in keys)
    specs = list(dict.fromkeys(specs))
    _check_directories(specs)
    return specs


def _conditions(
    game: str, sweep: Sweep, settings: Mapping[str, Any]
) -> list[tuple[Option, Option]]:
    """List the ways in which a game's frames are collected: who plays, in which mode."""
    usual = dict(_usual(settings))
    policies = [policy.replace("{game}", game) for policy in sweep.policies or (usual["policy"],)]
    modes = sweep.modes or (usual["mode"],)
    for mode in modes:
        if mode != USUAL:
            Emulator(game, mode=int(mode))  # an unknown mode fails before hours are spent
    return [(("policy", policy), ("mode", mode)) for policy, mode in product(policies, modes)]


def _lengths(method: str, sweep: Sweep, settings: Mapping[str, Any]) -> list[tuple[Option, ...]]:
    """List the options for the numbers of frames that a method is pretrained on."""
    if not sweep.pretrain_steps or not _pretrains(method):
        return [()]
    usual = settings["data"]["steps"]
    return [() if n == usual else (("steps", str(n)),) for n in sweep.pretrain_steps]


def _pretrains(method: str) -> bool:
    """Tell whether a method is trained on the frames that ``pretrain_steps`` counts."""
    if known := of_catalogue(method):
        return known.pretrains
    return bool(getattr(_users_class(method), "data_stage", "pretrain") == "pretrain")


def _trains_nothing(method: str) -> bool:
    """Tell whether a method's encoder is the same whatever frames there are."""
    if known := of_catalogue(method):
        return known.trains_nothing
    from lightning_stdim.methods.frozen import FrozenMethod  # late: it imports torch

    cls = _users_class(method)
    return isinstance(cls, type) and issubclass(cls, FrozenMethod)


def _users_class(method: str) -> object:
    """Import the class of a method that is not in the catalogue; None if that is not possible."""
    class_path = class_of(method)
    try:
        return class_path and import_from(class_path)
    except ConfigurationError:  # the run itself will say what is wrong
        return None


def _probes(
    spec: RunSpec,
    place: int,
    conditions: Mapping[str, Sequence[tuple[Option, Option]]],
    sweep: Sweep,
    settings: Mapping[str, Any],
) -> Iterator[RunKey]:
    """List the further probes of a run's encoder, on frames of the same kind and of others."""
    source, known = spec.key, of_catalogue(spec.method)
    if known and not known.has_model:
        return
    own = conditions[source.game][place]
    here = _non_default(own, settings)
    for probe, classes in product(sweep.probes, sweep.classes):
        options = [("hidden", HIDDEN)] if probe == "mlp" else []
        options += [("classes", classes)] if classes != "all" else []
        if options:
            yield _probe_of(source, source.game, (*here, *options))
    if _trains_nothing(spec.method):  # the method's own runs there have the same encoder
        return
    for other in conditions[source.game]:
        if other != own:
            changed = _non_default(other, settings)
            told = tuple(option for option in other if option in changed or option not in own)
            yield _probe_of(source, source.game, told)
    if sweep.transfer:
        for game, found in conditions.items():
            if game != source.game:
                yield _probe_of(source, game, _non_default(found[place], settings))


def _probe_of(source: RunKey, game: str, options: tuple[Option, ...]) -> RunKey:
    return RunKey(game, source.method, source.seed, options, source)


def _usual(settings: Mapping[str, Any]) -> tuple[Option, Option]:
    """Return the preset's condition."""
    return ("policy", settings.get("data", {}).get("policy", "random")), ("mode", USUAL)


def _non_default(condition: Sequence[Option], settings: Mapping[str, Any]) -> tuple[Option, ...]:
    """Keep only what differs from the preset."""
    return tuple(option for option in condition if option not in _usual(settings))


def _check_directories(specs: Iterable[RunSpec]) -> None:
    """Refuse runs that would share a directory, or whose directories could not be made.

    Some file systems take two different names for one: they ignore case, or do not distinguish
    accents written as one character from those written as two.
    """
    taken: dict[str, RunSpec] = {}
    for spec in specs:
        name = spec.key.name
        if "/" in name or len(name.encode()) > LONGEST_NAME:
            raise ConfigurationError(
                f"{_described(spec)} would have a directory named {name!r}, which is no name of a "
                f"directory: it may have no slash, and at most {LONGEST_NAME} bytes; rename its "
                "file or module"
            )
        folder = unicodedata.normalize("NFC", str(spec.folder(Path()))).casefold()
        other = taken.setdefault(folder, spec)
        if other is not spec:
            raise ConfigurationError(
                f"{_described(other)} and {_described(spec)} would share the directory "
                f"{spec.folder(Path())}: rename a file or module so that their names differ in "
                "more than folders or capitals, or give them different directories with --out"
            )


def _described(spec: RunSpec) -> str:
    """Describe a run in the user's words: the method, and the policies with their folders."""
    keys = filter(None, (spec.key.source, spec.key))
    named = {value: None for key in keys for name, value in key.options if name == "policy"}
    return f"{spec.method} with policy {', '.join(named)}" if named else spec.method


def _games(name: str) -> Sequence[str]:
    return annotated_games("paper") if name == ALL else [name]


def _methods(name: str) -> Sequence[str]:
    if name != ALL:
        return [name]
    return [method for method, known in METHODS.items() if known.needs != "file"]
