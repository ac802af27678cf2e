"""The memory, cores and devices that this process may use."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from math import ceil
from pathlib import Path

from lightning_stdim.errors import ConfigurationError

CORES_SHARE = "LIGHTNING_STDIM_CORES"
"""The environment variable that tells a benchmark's run its share of the cores."""
CORES_VARIABLES = (CORES_SHARE, "SLURM_CPUS_PER_TASK", "SLURM_CPUS_ON_NODE")
"""Environment variables that limit the cores: ours and Slurm's."""


def available_memory(root: Path = Path("/")) -> int:
    """Compute how much memory this process can still take without swapping.

    Args:
        root: where the system's ``proc`` and ``sys`` are.

    Returns:
        Bytes: Linux's estimate ``MemAvailable``, or what the process's control groups (version 2:
        a container's or a job's limits) leave of it. Elsewhere the machine's whole memory.
    """
    try:
        found = re.search(
            r"^MemAvailable: *(\d+) kB", (root / "proc/meminfo").read_text("utf-8"), re.M
        )
    except OSError:
        found = None
    if found is None:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return min([int(found[1]) * 1024, *_left_by_control_groups(root)])


def _left_by_control_groups(root: Path) -> Iterator[int]:
    """Yield the bytes that are left under each memory limit of the control groups."""
    for group in _control_groups(root):
        try:
            limit = (group / "memory.max").read_text("utf-8").strip()
            used = int((group / "memory.current").read_text("utf-8"))
            cache = re.search(
                r"^inactive_file (\d+)", (group / "memory.stat").read_text("utf-8"), re.M
            )
        except OSError:  # this group does not limit memory
            continue
        if limit != "max":
            yield max(0, int(limit) - used + (int(cache[1]) if cache else 0))


def cores(root: Path = Path("/")) -> int:
    """Count the cores that this process may use.

    This is the least of: the cores that it may run on; the quotas of its control groups (version 2:
    a container's limit); what Slurm has given its task, also where Slurm does not enforce it; and
    its share of a benchmark with several jobs.

    Args:
        root: where the system's ``proc`` and ``sys`` are.

    Returns:
        At least 1.
    """
    told = (os.environ.get(name, "") for name in CORES_VARIABLES)
    limits = [int(number) for number in told if number.isdecimal()]
    return max(1, min([affinity_cores(), *limits, *_quotas(root)]))


def affinity_cores() -> int:
    """Count the cores that the system may run this process on.

    Returns:
        At least 1. Libraries such as OpenMP take it for their number of threads.
    """
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _quotas(root: Path) -> Iterator[int]:
    """Yield how many cores' worth of time each control group may take, rounded up."""
    for group in _control_groups(root):
        try:
            quota, period = (group / "cpu.max").read_text("utf-8").split()
        except OSError:  # this group does not limit cores
            continue
        if quota != "max":
            yield ceil(int(quota) / int(period))


def _control_groups(root: Path) -> list[Path]:
    """List the folders of the process's control group and of all groups that contain it."""
    top = root / "sys/fs/cgroup"
    try:
        group = re.search(r"^0::/(.*)$", (root / "proc/self/cgroup").read_text("utf-8"), re.M)
    except OSError:
        return []
    folder = top / (group[1] if group else "")
    return [folder, *folder.parents]


def has_bfloat16(root: Path = Path("/")) -> bool:
    """Tell whether the processor computes with bfloat16.

    Args:
        root: where the system's ``proc`` is.

    Returns:
        False if Linux lists the processor's features without a unit for it (AMX, avx512_bf16, or
        bf16 on Arm). Elsewhere nothing is known, and it is True.
    """
    try:
        text = (root / "proc/cpuinfo").read_text()
    except OSError:
        return True
    features = re.findall(r"^(?:flags|Features)\s*: (.*)$", text, re.M)
    return not features or bool({"amx_bf16", "avx512_bf16", "bf16"} & set(features[0].split()))


def slow_bfloat16(option: str) -> str | None:
    """Advise against bfloat16 on a processor without units for it.

    Args:
        option: the option that chooses float32 instead.

    Returns:
        The advice; None if the processor has such units.
    """
    if has_bfloat16():
        return None
    return (
        "this processor has no bfloat16 units (AMX, avx512_bf16): it computes in bfloat16 more "
        f"slowly than in float32, which {option} chooses. On processors that have them, bfloat16 "
        "takes 0.59 of float32's time (docs/performance.md)"
    )


def check_device(name: str) -> None:
    """Refuse a device that this machine does not have, before any work is done for it.

    Args:
        name: PyTorch's name of the device, such as ``"cpu"`` or ``"cuda:1"``.

    Raises:
        ConfigurationError: the device cannot be used.
    """
    import torch

    try:
        torch.empty(0, device=name)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise ConfigurationError(f"device {name!r} cannot be used: {reason}") from error
