"""One run of the grid: its name, its directory and its command."""

from __future__ import annotations

import difflib
import shutil
from dataclasses import dataclass
from pathlib import Path

from lightning_stdim.errors import ConfigurationError
from lightning_stdim.presets import method_names, method_path, preset_path

METHODS = ("majority", "random-cnn", "st-dim", "supervised")
"""Those that are compared unless others are named; ``"majority"`` is probed without a model."""

NEEDS_FILE = ("pretrained-agent",)
"""Methods that no name alone configures: a YAML file has to say which agent."""


Option = tuple[str, str]
"""A change of what the preset says: a name from FIT or PROBE, and the value."""

FIT = {
    "steps": "--data.steps",
    "max_epochs": "--trainer.max_epochs",
    "policy": "--data.policy",
    "mode": "--data.mode",
}
"""What may be changed for a run that trains, and the option of ``fit`` for it."""

PROBE = {
    "policy": "--policy",
    "mode": "--mode",
    "hidden": "--hidden",
    "standardize": "--standardize",
    "classes": "--classes",
    "protocols": "--protocols",
}
"""The same for a run that only probes."""

USUAL = "default"
"""The mode that the preset's settings have a game played in: an option without a word."""

UNSAID = ("max_epochs", "standardize", "protocols")
"""Options that follow from another one, and do not make a name longer."""

ENCODER = "encoder"
"""The folder of a run that holds its encoder."""


@dataclass(frozen=True)
class RunSpec:
    """One run of the grid.

    Attributes:
        game: canonical name.
        method: ``"majority"``, a name from ``presets.method_names``, the class of a method such as
            ``"my_module.MyMethod"``, or a YAML file with the options of ``fit`` that make it.
        seed: seeds the collections, the splits, the initialisation and the training.
        options: what differs from the preset.
        source: the run whose encoder this one probes, in another way or on another game; None for
            a run that trains its own.
    """

    game: str
    method: str
    seed: int
    options: tuple[Option, ...] = ()
    source: RunSpec | None = None

    def __str__(self) -> str:
        return f"{self.game} {' '.join(filter(None, (self.name, self.variant)))} seed {self.seed}"

    @property
    def name(self) -> str:
        """What results and directories call the method; of a file its stem."""
        return Path(self.method).stem if _is_file(self.method) else self.method

    @property
    def variant(self) -> str:
        """What differs from the preset, in words: ``"steps=3000"``; empty if nothing does.

        Of a run that only probes: what its encoder was trained with, and then, after ``probe.``,
        what differs in the probe; ``from=`` the game that it was trained on, if it is another.
        """
        prefix = "probe." if self.source else ""
        words = [self.source.variant] if self.source else []
        if self.source and self.source.game != self.game:
            words.append(f"from={self.source.game}")
        for key, value in self.options:
            if key not in UNSAID:
                words.append(f"{prefix}{key}={_short(value) if key == 'policy' else value}")
        return ",".join(filter(None, words))

    def folder(self, out: Path) -> Path:
        """Name the run's directory.

        Args:
            out: the benchmark's directory.

        Returns:
            ``out/<game>/<name>/seed<seed>``, with the variant after the name.
        """
        name = ",".join(filter(None, (self.name, self.variant)))
        return out / self.game / name / f"seed{self.seed}"

    def arguments(self, *, preset: str, root: str | Path, out: Path) -> list[str]:
        """Spell out the command that makes this run, after ``python -m lightning_stdim``.

        Args:
            preset: a shipped one's name or a YAML file.
            root: folder of the collections.
            out: the benchmark's directory.

        Returns:
            The words of the command. A run that was interrupted after a checkpoint goes on from it.

        Raises:
            ConfigurationError: there is no such preset.
        """
        folder, seed = self.folder(out), str(self.seed)
        if self.source or self.method == "majority":
            encoder = str(self.source.folder(out) / ENCODER) if self.source else self.method
            words = ["probe", "--encoder", encoder, "--preset", preset, "--root", str(root)]
            words += ["--game", self.game, "--seed", seed]
            words += ["--method", self.name] if self.source else []
            names = PROBE
        else:
            words = ["fit", "--config", _shown(preset_path(preset))]
            if self.method in method_names():
                words += ["--config", _shown(method_path(self.method))]
            elif _is_file(self.method):
                words += ["--config", self.method, "--method", self.name]
            else:
                words += ["--model", self.method]
            words += ["--data.root", str(root), "--data.game", self.game, "--seed_everything", seed]
            names = FIT
        for key, value in self.options:
            words += [names[key], value] if value != USUAL else []
        words += ["--variant", self.variant] if self.variant else []
        words += ["--out", str(folder)]
        if has_checkpoint(folder):
            words += ["--ckpt_path", "last"]
        return words


def _short(policy: str) -> str:
    """Name an agent by its file; by its folder if the file's name says nothing."""
    path = Path(policy)
    return path.parent.name if path.stem == "policy" and path.parent.name else path.stem


def _is_file(method: str) -> bool:
    return method.endswith((".yaml", ".yml"))


def _shown(path: Path) -> str:
    """Name a file in a command that is recorded, and should not tell where we live."""
    return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)


def check_method(name: str) -> str:
    """Check a method's name before hours are spent on the others.

    Args:
        name: ``"majority"``, a name from ``presets.method_names``, a class: capitalised, or with
            dots; or a YAML file.

    Returns:
        The same name.

    Raises:
        ConfigurationError: it is none of them, or a file that is not there or takes another's name.
    """
    known = ["majority", *method_names()]
    if name in NEEDS_FILE:
        raise ConfigurationError(
            f"{name} needs settings of its own: give a YAML file with them instead of the name "
            f"(see docs/methods/{name}.md)"
        )
    if _is_file(name):
        if not Path(name).is_file():
            raise ConfigurationError(f"there is no file {name} to configure a method")
        if Path(name).stem in known and Path(name).stem not in NEEDS_FILE:
            raise ConfigurationError(
                f"{name} would be called {Path(name).stem!r}, as another method is; rename it"
            )
        return name
    if name in known or "." in name or name[:1].isupper():
        return name
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]!r}?" if near else "give a class, such as my_module.MyMethod"
    raise ConfigurationError(f"unknown method {name!r} (known: {', '.join(known)}); {hint}")


def has_checkpoint(folder: Path) -> bool:
    """Tell whether an interrupted run can go on.

    Args:
        folder: the run's directory.

    Returns:
        True if it holds a last checkpoint.
    """
    return (folder / "checkpoints" / "last.ckpt").is_file()


def clear_unfinished(folder: Path) -> None:
    """Remove what an interrupted run left if it cannot go on: no result, no checkpoint.

    ``fit`` takes another directory rather than one with something in it.

    Args:
        folder: the directory of a run without results; one that can go on is left alone.
    """
    if folder.is_dir() and not has_checkpoint(folder):
        shutil.rmtree(folder)
