"""A run's snapshots: its weights after chosen numbers of optimiser steps."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from lightning_stdim.errors import ConfigurationError
from lightning_stdim.runs.directory import SNAPSHOTS
from lightning_stdim.utils.checks import ascending
from lightning_stdim.utils.comma_separated import comma_separated


def snapshot_steps(wanted: str | int | Sequence[int]) -> tuple[int, ...]:
    """Read the numbers of steps that a command line or a configuration asks for.

    Args:
        wanted: numbers, a number, or text with numbers separated by commas; empty for none.

    Returns:
        The numbers.

    Raises:
        ConfigurationError: something is not a number of at least 0, or they do not ascend.
    """
    if not isinstance(wanted, str):
        return ascending("snapshots", [wanted] if isinstance(wanted, int) else wanted)
    words = comma_separated(wanted)
    for word in words:
        if not re.fullmatch(r"-?\d+", word):
            raise ConfigurationError(
                f"snapshots={wanted}: {word!r} is not a number of optimiser steps; give numbers "
                "separated by commas, such as 0,1000,2000"
            )
    return ascending("snapshots", map(int, words))


def snapshots_of(run: Path) -> dict[int, Path]:
    """Find the snapshots of a run.

    Args:
        run: the run's directory.

    Returns:
        The checkpoints by their number of optimiser steps, in rising order; empty if there are
        none.
    """
    found = {
        int(step[1]): path
        for path in (run / SNAPSHOTS).glob("step*.ckpt")
        if (step := re.fullmatch(r"step(\d+)", path.stem))
    }
    return dict(sorted(found.items()))
