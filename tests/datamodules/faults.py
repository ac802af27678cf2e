"""Disks that are full or may not be written."""

from __future__ import annotations

import os
import resource
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def file_size_limit(size: int) -> Iterator[None]:
    """Let every write beyond a file's first `size` bytes fail, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@contextmanager
def mounted(folder: Path, *commands: str) -> Iterator[None]:
    """Mount something on a folder by shell commands in which ``{}`` is its name."""
    folder.mkdir(exist_ok=True)
    try:
        for command in commands:
            words = command.format(folder).split()
            if subprocess.run(words, capture_output=True).returncode:
                pytest.skip("nothing may be mounted here")
        yield
    finally:
        subprocess.run(["umount", str(folder)], capture_output=True)


@contextmanager
def nobody() -> Iterator[None]:
    """Be a user with no right to anything, if we are root, whom nothing stops."""
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)
