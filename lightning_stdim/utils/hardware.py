"""How much memory there is to use."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from lightning_stdim.errors import ConfigurationError


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


def cores() -> int:
    """Count the cores that this process may use.

    Returns:
        At least 1.
    """
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def check_device(name: str) -> None:
    """Refuse a device that this machine does not have, before any work is done for it.

    Args:
        name: as PyTorch names it, such as ``"cpu"`` or ``"cuda:1"``.

    Raises:
        ConfigurationError: nothing can be computed there.
    """
    import torch

    try:
        torch.empty(0, device=name)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise ConfigurationError(f"device {name!r} cannot be used: {reason}") from error
