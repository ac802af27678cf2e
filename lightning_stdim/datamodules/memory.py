"""How much memory there is to use."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path


def available_memory(root: Path = Path("/")) -> int:
    """Tell how much memory this process can still take without swapping.

    Args:
        root: where the system's ``proc`` and ``sys`` are.

    Returns:
        Bytes: Linux's estimate ``MemAvailable``, or what the process's control groups (version 2:
        a container's or a job's limits) leave of it. Elsewhere the machine's whole memory.
    """
    try:
        found = re.search(r"^MemAvailable: *(\d+) kB", (root / "proc/meminfo").read_text(), re.M)
    except OSError:
        found = None
    if found is None:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return min([int(found[1]) * 1024, *_left_by_control_groups(root)])


def _left_by_control_groups(root: Path) -> Iterator[int]:
    """Give what is left in the process's control group and in those that it lies in."""
    top = root / "sys/fs/cgroup"
    try:
        group = re.search(r"^0::/(.*)$", (root / "proc/self/cgroup").read_text(), re.M)
    except OSError:
        return
    folder = top / (group[1] if group else "")
    for place in [folder, *folder.parents]:
        try:
            limit = (place / "memory.max").read_text().strip()
            used = int((place / "memory.current").read_text())
            cache = re.search(r"^inactive_file (\d+)", (place / "memory.stat").read_text(), re.M)
        except OSError:  # no such controller here, or above the top
            continue
        if limit != "max":
            yield max(0, int(limit) - used + (int(cache[1]) if cache else 0))
