"""Readable text about running processes: their last line, and durations."""

from __future__ import annotations

import re
from pathlib import Path


def duration(seconds: float) -> str:
    """Write a duration as one would say it.

    Args:
        seconds: the duration, 0 or more.

    Returns:
        Text such as ``"40 s"``, ``"12 min"``, ``"3 h 20 min"`` or ``"2 days 4 h"``.
    """
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 100:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min"
    return f"{hours // 24} days {hours % 24} h"


def last_words(log: Path) -> str:
    """Read the last line that a process has written, as a terminal would show it.

    Args:
        log: the file of its output.

    Returns:
        The line without control sequences; empty if there is none.
    """
    with log.open("rb") as file:
        file.seek(0, 2)
        file.seek(max(0, file.tell() - 4096))
        tail = file.read().decode(errors="replace")
    # Progress bars draw over their line: a carriage return ends one state of it.
    lines = re.split(r"[\r\n]+", re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", tail))
    return next((line.strip() for line in reversed(lines) if line.strip()), "")
