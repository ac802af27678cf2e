"""The configurations that ship with the package: presets and methods, by name."""

from __future__ import annotations

from importlib.resources import files
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
    known = ", ".join(sorted(file.stem for file in FOLDER.glob("*.yaml")))
    raise ConfigurationError(
        f"unknown preset {name!r}; there are {known}, or a path to a YAML file"
    )


def method_path(name: str) -> Path:
    """Find the configuration of a method: its class and its settings.

    Args:
        name: name of a method in the catalogue that has a model.

    Returns:
        The path of its file.
    """
    return FOLDER / "methods" / f"{name}.yaml"


def method_paths(name: str, preset: str) -> list[Path]:
    """Find the configurations of a method in a preset.

    A folder beside the preset's file, with the file's stem for its name, can hold a file
    ``METHOD.yaml`` with what the preset sets for that method alone.

    Args:
        name: name of a method in the catalogue that has a model.
        preset: as for :func:`preset_path`.

    Returns:
        The paths of their files, each of which goes before the ones after it.

    Raises:
        ConfigurationError: there is no such preset.
    """
    special = preset_path(preset).with_suffix("") / f"{name}.yaml"
    return [method_path(name), *filter(Path.is_file, [special])]


def read_preset(name: str) -> dict[str, Any]:
    """Read a preset.

    Args:
        name: as for :func:`preset_path`.

    Returns:
        Its settings, as plain data.

    Raises:
        ConfigurationError: there is no such preset, or its file has no settings.
    """
    contents = _read(preset_path(name), name)
    if not isinstance(contents, dict):
        raise ConfigurationError(f"preset {name} holds no settings")
    return contents


def read_specials(name: str) -> dict[str, Any]:
    """Read what a preset sets for single methods.

    Args:
        name: as for :func:`preset_path`.

    Returns:
        The content of each file of :func:`method_paths` that is the preset's own, by the method's
        name; empty if there is none.

    Raises:
        ConfigurationError: there is no such preset, or a file is not YAML.
    """
    folder = preset_path(name).with_suffix("")
    return {path.stem: _read(path, name) for path in sorted(folder.glob("*.yaml"))}


def _read(path: Path, preset: str) -> Any:
    try:
        return yaml.safe_load(path.read_text("utf-8"))
    except yaml.YAMLError as error:
        raise ConfigurationError(f"preset {preset} is not YAML: {error}") from error
