"""Where a run's time goes, one line of JSON a part: for ``benchmark --estimate``."""

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
    """Add a line on a part of the run that is over.

    Args:
        part: such as ``"encoding frames"``.
        **numbers: what was measured; the process's peak memory so far, in bytes, goes with it.
    """
    if path := os.environ.get(VARIABLE):
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        memory *= 1 if sys.platform == "darwin" else 1024
        with Path(path).open("a") as file:
            file.write(json.dumps({"part": part, "memory": memory, **numbers}) + "\n")


def read(path: Path) -> list[dict[str, Any]]:
    """Read what a run has recorded.

    Args:
        path: the file.

    Returns:
        A dictionary for each part, in their order; none if there is no file.
    """
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def rate(part: Mapping[str, Any]) -> float:
    """Give the seconds of a step.

    Args:
        part: the record of a progress bar.

    Returns:
        The mean without the first step, which allocates; with it if there is no other.
    """
    steps, seconds = part["steps"] - part["first_steps"], part["seconds"] - part["first_seconds"]
    return float(seconds / steps if steps else part["seconds"] / max(1, part["steps"]))


@contextmanager
def written_to(path: Path) -> Iterator[None]:
    """Have this process, and those that it starts, record their parts while the block runs.

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
