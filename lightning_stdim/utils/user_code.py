"""Importing users' code, first from the current folder, and telling where in it an error is."""

from __future__ import annotations

import importlib
import importlib.util
import os
import re
import sys
import sysconfig
import traceback
from pathlib import Path
from typing import Any

from lightning_stdim.errors import ConfigurationError

_LIBRARIES = ("stdlib", "platstdlib", "purelib", "platlib")
_NOT_THE_USERS = (
    "<frozen",
    os.path.join(os.path.dirname(os.path.dirname(__file__)), ""),  # this package
    *(os.path.join(sysconfig.get_path(name), "") for name in _LIBRARIES),
)


def dotted(path: str) -> str:
    """Spell the path of an object with dots alone.

    Args:
        path: such as ``"my_module:MyMethod"``.

    Returns:
        Such as ``"my_module.MyMethod"``; anything that is no such path as it is.
    """
    return path.replace(":", ".") if re.fullmatch(r"[\w.]+:\w+", path) else path


def import_from(path: str) -> Any:
    """Import an object by its dotted path.

    Args:
        path: ``"package.module:name"`` or ``"package.module.name"``. The current folder is searched
            first.

    Returns:
        The object.

    Raises:
        ConfigurationError: it cannot be imported.
    """
    module, _, name = dotted(path).rpartition(".")
    _look_here()
    try:
        return getattr(importlib.import_module(module), name)
    except Exception as error:  # whatever a user's module may raise
        raise ConfigurationError(
            f"{path!r} cannot be imported: {what_failed(error)}; give package.module.name"
        ) from error


def source_file(module: str) -> Path:
    """Find a module's file without importing it; only the packages that contain it are imported.

    Args:
        module: its dotted name. The current folder is searched first.

    Returns:
        The file.

    Raises:
        ConfigurationError: there is none.
    """
    _look_here()
    try:
        spec = importlib.util.find_spec(module)
    except ModuleNotFoundError:
        spec = None
    except Exception as error:  # whatever a user's package may raise
        raise ConfigurationError(f"{module!r} cannot be imported: {what_failed(error)}") from error
    if spec is None or not spec.has_location or spec.origin is None:
        raise ConfigurationError(f"there is no file of a module {module!r}")
    return Path(spec.origin)


def what_failed(error: Exception) -> str:
    """Say what went wrong in a user's code, and where.

    Args:
        error: the exception that it raised.

    Returns:
        The exception's type and message in one line, and the last file and line of the user's own
        code.
    """
    steps = [
        step
        for step in traceback.extract_tb(error.__traceback__)
        if not step.filename.startswith(_NOT_THE_USERS)
    ]
    place = f" ({Path(steps[-1].filename).name}:{steps[-1].lineno})" if steps else ""
    said = ": ".join(filter(None, (type(error).__name__, " ".join(str(error).split()))))
    return said + place


def _look_here() -> None:
    if "" not in sys.path:
        sys.path.insert(0, "")
