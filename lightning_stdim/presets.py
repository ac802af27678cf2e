"""The configurations that ship with the package: presets and methods, by name."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from importlib.resources import files
from itertools import takewhile
from pathlib import Path
from typing import Any

import yaml

from lightning_stdim.errors import ConfigurationError

FOLDER = Path(str(files("lightning_stdim"))) / "configs"


def preset_path(name: str) -> Path:
    """Find a preset.

    Args:
        name: ``"smoke"``, ``"laptop"``, ``"laptop-bf16"``, ``"paper"``, ``"challenge"``,
            ``"challenge-bf16"``, or the path of a YAML file.

    Returns:
        The path of its file.

    Raises:
        ConfigurationError: there is no such preset.
    """
    path = FOLDER / f"{name}.yaml"
    if path.is_file():
        return path
    if Path(name).is_file():
        return Path(name)
    known = preset_names()
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]!r}? There" if near else "there"
    raise ConfigurationError(
        f"unknown preset {name!r}; {hint} are {', '.join(known)}, or a path to a YAML file"
    )


def preset_name(name: str) -> str:
    """Name a preset in records.

    Args:
        name: as for :func:`preset_path`.

    Returns:
        The name of a preset that ships; the stem of a file.
    """
    return Path(name).stem if name.endswith((".yaml", ".yml")) else name


def preset_paths(name: str) -> list[Path]:
    """Find the files of a preset: its own, after those of the preset that it starts from.

    A preset's file starts from another preset if it names that as its ``preset``. One that names
    itself starts from nothing.

    Args:
        name: as for :func:`preset_path`.

    Returns:
        The paths of the files; settings in later ones replace those in earlier ones.

    Raises:
        ConfigurationError: there is no such preset, a file is not YAML, or presets start from each
            other.
    """
    found: list[Path] = []
    following: str | None = name
    while following is not None:
        path = preset_path(following)
        if path in found:
            chain = " and ".join(str(file) for file in found)
            raise ConfigurationError(f"presets start from each other: {chain}")
        found.insert(0, path)
        contents = _read(path, following)
        base = contents.get("preset") if isinstance(contents, dict) else None
        following = None if base in (None, path.stem, following) else str(base)
    return found


def preset_names() -> list[str]:
    """List the presets that ship.

    Returns:
        Their names, in alphabetical order.
    """
    return sorted(file.stem for file in FOLDER.glob("*.yaml"))


def summary(path: Path) -> str:
    """Say what a configuration is for.

    Args:
        path: its YAML file, which begins with a comment.

    Returns:
        The first sentence of the comment.
    """
    lines = path.read_text("utf-8").splitlines()
    comment = " ".join(line.lstrip("# ") for line in takewhile(lambda s: s.startswith("#"), lines))
    sentence, *_ = re.split(r"\.\s+(?=[A-Z])", comment, maxsplit=1)  # not after "et al."
    return sentence.rstrip(".") + "."


def method_path(name: str) -> Path:
    """Find the configuration of a method: its class and its settings.

    Args:
        name: name of a method in the catalogue that has a model.

    Returns:
        The path of its file.
    """
    return FOLDER / "methods" / f"{name}.yaml"


def method_files(name: str, preset: str | None) -> list[Path]:
    """Find the configurations of a method in a preset.

    A folder beside the preset's file, with the file's stem for its name, can hold a file
    ``METHOD.yaml`` with what the preset sets for that method alone.

    Args:
        name: name of a method in the catalogue that has a model.
        preset: as for :func:`preset_path`; None for none.

    Returns:
        The paths of their files, each of which goes before the ones after it.

    Raises:
        ConfigurationError: there is no such preset.
    """
    presets = preset_paths(preset) if preset else []
    specials = [path.with_suffix("") / f"{name}.yaml" for path in presets]
    return [method_path(name), *filter(Path.is_file, specials)]


def read_preset(name: str) -> dict[str, Any]:
    """Read a preset.

    Args:
        name: as for :func:`preset_path`.

    Returns:
        Its settings, as plain data.

    Raises:
        ConfigurationError: there is no such preset, or its file has no settings.
    """
    settings: dict[str, Any] = {}
    for path in preset_paths(name):
        contents = _read(path, name)
        if not isinstance(contents, dict):
            raise ConfigurationError(f"preset {name} holds no settings")
        settings = merged(settings, contents)
    return settings


def read_specials(name: str) -> dict[str, Any]:
    """Read what a preset sets for single methods.

    Args:
        name: as for :func:`preset_path`.

    Returns:
        The content of each file of :func:`method_files` that is the preset's own, by the method's
        name; empty if there is none.

    Raises:
        ConfigurationError: there is no such preset, or a file is not YAML.
    """
    found: dict[str, Any] = {}
    for file in preset_paths(name):
        for path in sorted(file.with_suffix("").glob("*.yaml")):
            found[path.stem] = merged(found.get(path.stem, {}), _read(path, name))
    return found


def merged(settings: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Replace settings, within dictionaries one by one.

    Args:
        settings: a configuration.
        changes: another, whose values take the place of those of the first.

    Returns:
        A new dictionary.
    """
    return {
        **settings,
        **{
            name: merged(settings[name], value)
            if isinstance(value, dict) and isinstance(settings.get(name), dict)
            else value
            for name, value in changes.items()
        },
    }


def _read(path: Path, preset: str) -> Any:
    try:
        return yaml.safe_load(path.read_text("utf-8"))
    except yaml.YAMLError as error:
        raise ConfigurationError(f"preset {preset} is not YAML: {error}") from error
