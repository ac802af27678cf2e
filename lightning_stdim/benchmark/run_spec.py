"""A run of the grid: its key, and the command that makes it."""

from __future__ import annotations

import difflib
import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from math import ceil
from pathlib import Path
from typing import Any

import yaml

from lightning_stdim.catalogue import METHODS, Method, method_named, of_class
from lightning_stdim.errors import ConfigurationError
from lightning_stdim.presets import read_preset
from lightning_stdim.runs.directory import CHECKPOINTS, ENCODER, clear_run
from lightning_stdim.runs.key import FRAMES, RunKey
from lightning_stdim.utils.comma_separated import comma_separated
from lightning_stdim.utils.user_code import dotted

USUAL = "default"
"""The value of an option that stands for the preset's own, and needs no argument."""


@dataclass(frozen=True)
class RunSpec:
    """One run of the grid.

    Attributes:
        key: the run's identity.
        method: the method as the command line names it: by a name of the catalogue, by a class such
            as ``"my_module.MyMethod"``, or by a YAML file with options of ``fit``. (The key has the
            file's stem.)
        protocols: names of the probe protocols, separated by commas; empty for the preset's.
    """

    key: RunKey
    method: str
    protocols: str = ""

    def __str__(self) -> str:
        return str(self.key)

    def folder(self, out: Path) -> Path:
        """Name the run's directory.

        Args:
            out: the benchmark's directory.

        Returns:
            The path that :meth:`RunKey.folder` gives.
        """
        return self.key.folder(out)

    @property
    def source(self) -> RunSpec | None:
        """The run whose encoder this one probes; None if it probes its own or has no encoder."""
        return replace(self, key=self.key.source) if self.key.source else None

    def protocols_missing_in(self, protocols: Collection[str]) -> list[str]:
        """List the protocols that this run asks for and its results lack.

        Args:
            protocols: the protocols in the run's results.

        Returns:
            Their names. There are none where no probe was made at all, as for the majority.
        """
        forced = dict(probe_settings(dict(self.key.options))).get("protocols")
        asked = comma_separated(forced or self.protocols)
        own = {method.own_protocol for method in METHODS.values()}
        if not set(protocols) - own:
            return []
        return [name for name in asked if name not in protocols]

    @property
    def only_probes(self) -> bool:
        """Whether the run only probes: another run's encoder, or a method without a model.

        Its command is ``probe`` rather than ``fit``.
        """
        return self.source is not None or not method_named(self.method).has_model

    def arguments(
        self, *, preset: str, root: str | Path, out: Path, snapshots: str = ""
    ) -> list[str]:
        """Build the arguments of ``python -m lightning_stdim`` that make this run.

        Those that do not choose a method of the catalogue get ``--method_name``, the method's name
        in the key. If the key has options or a source, or the preset chooses other frames than the
        protocol's, they also get ``--run_key``, a JSON object with ``"options"``, a list of pairs
        ``[name, value]``, and ``"source"``, null or the whole key of the run whose encoder is
        probed, as :meth:`RunKey.to_dict` gives it.

        Args:
            preset: name of a shipped preset, or a YAML file.
            root: folder of the collections.
            out: the benchmark's directory.
            snapshots: numbers of optimiser steps after which the weights are kept, separated by
                commas. What trains nothing ignores them.

        Returns:
            The arguments. An interrupted run goes on from its last checkpoint, if it has one.

        Raises:
            ConfigurationError: there is no such preset.
        """
        key, folder = self.key, self.folder(out)
        if self.only_probes:
            encoder = str(self.source.folder(out) / ENCODER) if self.source else self.method
            argv = ["probe", "--encoder", encoder, "--preset", preset, "--root", str(root)]
            argv += ["--game", key.game, "--seed", str(key.seed)]
            settings = {"protocols": self.protocols} if self.protocols else {}
            for name, value in (settings | dict(probe_settings(dict(key.options)))).items():
                argv += [f"--{name}", value]
        else:
            argv = ["fit", "--preset", preset]
            argv += ["--config" if is_file(self.method) else "--model", self.method]
            argv += ["--data.root", str(root), "--data.game", key.game]
            argv += ["--seed_everything", str(key.seed)]
            for name, value in _fit_settings(dict(key.options), preset):
                argv += [f"--{name}", value]
            argv += ["--protocols", self.protocols] if self.protocols else []
            if snapshots and not method_named(self.method).trains_nothing:
                argv += ["--snapshots", snapshots]
        if self.only_probes or self.method not in METHODS:
            argv += ["--method_name", key.method]
        differs = {name: key.to_dict()[name] for name in ("options", "source")}
        # Frames that the preset chooses would count as options without this.
        if any(differs.values()) or FRAMES.keys() & read_preset(preset).get("data", {}).keys():
            argv += ["--run_key", json.dumps(differs)]
        argv += ["--out", str(folder)]
        if has_checkpoint(folder):
            argv += ["--ckpt_path", "last"]
        return argv


def _fit_settings(options: Mapping[str, str], preset: str) -> Iterator[tuple[str, str]]:
    """Translate a key's options to arguments of ``fit``, and add those that follow from them."""
    for name, value in options.items():
        if value != USUAL:
            yield f"data.{name}", value
        if name == "steps":
            yield "trainer.max_epochs", str(epochs_of(int(value), read_preset(preset)))


def probe_settings(options: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Translate a key's options to arguments of ``probe``, and add those that follow from them.

    Args:
        options: options of a run that only probes.

    Yields:
        Arguments of ``probe`` by name, and their values.
    """
    for name, value in options.items():
        if value != USUAL:
            yield name, value
    if "hidden" in options:  # on raw features it would measure their scale: probe-protocols.md
        yield "standardize", "true"
    if options.keys() & {"hidden", "classes"}:
        # Both are choices of the paper protocol; the other one would only repeat its scores.
        yield "protocols", "paper"


def epochs_of(steps: int, settings: Mapping[str, Any]) -> int:
    """Choose the epochs for another number of frames, with at most as many optimiser steps.

    Args:
        steps: number of frames to pretrain on.
        settings: the preset's settings.

    Returns:
        The number of epochs.
    """
    frames: int = settings["trainer"]["max_epochs"] * settings["data"]["steps"]
    return ceil(frames / steps)


def is_file(method: str) -> bool:
    """Tell whether a method is named by a YAML file.

    Args:
        method: as the command line names it.

    Returns:
        True for the name of a YAML file, whether or not the file exists.
    """
    return method.endswith((".yaml", ".yml"))


def name_of(method: str) -> str:
    """Give the name of a method in records and directories.

    Args:
        method: as the command line names it.

    Returns:
        A file's stem; any other method's name as it is.
    """
    return Path(method).stem if is_file(method) else method


def check_method(name: str) -> str:
    """Check a method's name, before hours are spent on other methods.

    Args:
        name: a name of the catalogue; a class, capitalised or with dots or a colon; or a YAML file.

    Returns:
        The same name; a class always with dots.

    Raises:
        ConfigurationError: the name is none of these, or the file does not exist or would take
            another method's name.
    """
    if is_file(name):
        if not Path(name).is_file():
            raise ConfigurationError(f"there is no file {name} to configure a method")
        taken = {known.casefold() for known, one in METHODS.items() if one.needs != "file"}
        if name_of(name).casefold() in taken:
            raise ConfigurationError(
                f"{name} would be called {name_of(name)!r}, as another method is; rename it"
            )
        return name
    if name in METHODS:
        if METHODS[name].needs == "file":
            raise ConfigurationError(
                f"{name} needs settings of its own: give a YAML file with them instead of the name "
                f"(see docs/methods/{name}.md)"
            )
        return name
    if "." in dotted(name) or name[:1].isupper():
        return dotted(name)
    near = difflib.get_close_matches(name, METHODS, n=1)
    hint = f"did you mean {near[0]!r}?" if near else "give a class, such as my_module.MyMethod"
    raise ConfigurationError(f"unknown method {name!r} (known: {', '.join(METHODS)}); {hint}")


def class_of(method: str) -> str | None:
    """Find the class of a method.

    Args:
        method: as the command line names it.

    Returns:
        Its dotted path, or its name alone; None if there is no model, or if a file leaves the class
        to the preset.

    Raises:
        ConfigurationError: a file cannot be read.
    """
    if method in METHODS:
        return METHODS[method].class_path
    if not is_file(method):
        return method
    try:
        settings = yaml.safe_load(Path(method).read_text("utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise ConfigurationError(f"cannot read {method}: {error}") from error
    model = settings.get("model") if isinstance(settings, dict) else None
    path = model.get("class_path") if isinstance(model, dict) else model
    return path if isinstance(path, str) else None


def of_catalogue(method: str) -> Method | None:
    """Find a method's entry in the catalogue, even if it is named by a class or a file.

    Args:
        method: as the command line names it.

    Returns:
        The entry, or the first one with the same class; None for a user's own class.

    Raises:
        ConfigurationError: a file cannot be read.
    """
    return METHODS.get(method) or of_class(class_of(method) or "")


def has_checkpoint(folder: Path) -> bool:
    """Tell whether an interrupted run can be resumed.

    Args:
        folder: the run's directory.

    Returns:
        True if it holds a last checkpoint.
    """
    return (folder / CHECKPOINTS / "last.ckpt").is_file()


def clear_unfinished(folder: Path) -> None:
    """Remove the directory of an interrupted run that left no checkpoint to go on from.

    Otherwise ``fit`` and ``probe`` would refuse it, since it has something in it.

    Args:
        folder: the directory of a run without results. A run that can be resumed is left alone, and
            so is one that another process is making: the command will say so.
    """
    if not has_checkpoint(folder):
        clear_run(folder)
