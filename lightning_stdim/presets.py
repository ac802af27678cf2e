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
        name: ``"smoke"``, ``"laptop"``, ``"laptop-bf16"``, ``"paper"``, or the path of a YAML file.

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


def read_preset(name: str) -> dict[str, Any]:
    """Read a preset.

    Args:
        name: as for :func:`preset_path`.

    Returns:
        Its settings, as plain data.

    Raises:
        ConfigurationError: there is no such preset, or its file has no settings.
    """
    try:
        contents = yaml.safe_load(preset_path(name).read_text())
    except yaml.YAMLError as error:
        raise ConfigurationError(f"preset {name} is not YAML: {error}") from error
    if not isinstance(contents, dict):
        raise ConfigurationError(f"preset {name} holds no settings")
    return contents
