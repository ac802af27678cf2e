"""The software and hardware of a run, as plain data for its results file."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from lightning_stdim.utils.hardware import cores

PACKAGES = ("torch", "pytorch-lightning", "ale-py", "numpy", "torchmetrics", "stable-baselines3")


def environment() -> dict[str, Any]:
    """Describe the software and the machine, without names of hosts, users or paths.

    This does not import PyTorch: the GPU is named only where PyTorch is already imported.

    Returns:
        ``package`` (version), ``commit`` (of the checkout that the package is imported from, with
        ``+changes`` if files differ from it; None outside one), ``python``, ``packages`` (name to
        version; None if not installed), ``platform``, ``cpu`` (model), ``cores`` (that this
        process may use), ``memory_gib`` and ``gpu`` (None without one).
    """
    return {
        "package": _version("lightning-stdim"),
        "commit": _commit(),
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in PACKAGES},
        "platform": f"{platform.system()} {platform.release()} {platform.machine()}",
        "cpu": _cpu(),
        "cores": cores(),
        "memory_gib": _memory_gib(),
        "gpu": _gpu(),
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _commit() -> str | None:
    package = Path(__file__).resolve().parents[1]

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(package), *arguments]
        return subprocess.run(
            command, capture_output=True, encoding="utf-8", check=True
        ).stdout.strip()

    try:
        # Tracked, so not an installed copy that happens to lie inside somebody else's repository.
        git("ls-files", "--error-unmatch", "__init__.py")
        changes = git("status", "--porcelain", "--untracked-files=no", "--", ".")
        return git("rev-parse", "HEAD") + ("+changes" if changes else "")
    except (OSError, subprocess.CalledProcessError):
        return None


def _cpu() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass  # not Linux
    return platform.processor() or platform.machine()


def _memory_gib() -> float | None:
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1)
    except (OSError, ValueError):
        return None


def _gpu() -> str | None:
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_available():
        return None
    name: str = torch.cuda.get_device_name()
    return name
