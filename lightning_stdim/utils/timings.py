"""Timings of the parts of a run, a line of JSON for each, for ``benchmark --estimate``."""

from __future__ import annotations

import atexit
import json
import os
import resource
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

VARIABLE = "LIGHTNING_STDIM_TIMINGS"
"""The environment variable that names the file; without it nothing is written."""


def record(part: str, **numbers: float | str) -> None:
    """Add a line about a part of the run that has ended.

    Args:
        part: name of the part, such as ``"encoding frames"``.
        **numbers: what was measured. The process's peak memory so far, in bytes, is added.
    """
    if path := os.environ.get(VARIABLE):
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        memory *= 1 if sys.platform == "darwin" else 1024
        with Path(path).open("a", encoding="utf-8") as file:
            file.write(json.dumps({"part": part, "memory": memory, **numbers}) + "\n")


def read(path: Path) -> list[dict[str, Any]]:
    """Read the timings of a run.

    Args:
        path: the file.

    Returns:
        A dictionary for each part, in the order of recording; none if there is no file.
    """
    return (
        [json.loads(line) for line in path.read_text("utf-8").splitlines()] if path.exists() else []
    )


def rate(part: Mapping[str, Any]) -> float:
    """Compute the seconds per step.

    Args:
        part: the record of a progress bar.

    Returns:
        The mean over all steps but the first, which also allocates; the first if it is the only
        one.
    """
    steps, seconds = part["steps"] - part["first_steps"], part["seconds"] - part["first_seconds"]
    return float(seconds / steps if steps else part["seconds"] / max(1, part["steps"]))


@contextmanager
def written_to(path: Path) -> Iterator[None]:
    """Record timings of this process, and of those that it starts, while the block runs.

    Args:
        path: the file; the folder above it is made if it is missing.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    os.environ[VARIABLE] = str(path)
    try:
        yield
    finally:
        del os.environ[VARIABLE]


if VARIABLE in os.environ:  # then the peak memory at the very end counts, too
    atexit.register(record, "end")
