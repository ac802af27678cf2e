"""The header by which a complete file is told from a damaged one: length, command and SHA-256."""

from __future__ import annotations

import hashlib
import os
import shlex
from pathlib import Path
from typing import BinaryIO

from lightning_stdim.datamodules.store.collection import SCHEMA
from lightning_stdim.errors import StoreError

HEADER_BYTES = 512
_MAGIC = "lightning-stdim frames"


def check(path: Path, *, verify: bool = True) -> None:
    """Make sure that a file is a complete collection of this schema.

    Args:
        path: the file.
        verify: hash the whole file; otherwise only the header and the length are checked.

    Raises:
        StoreError: the file is missing, damaged or of another schema. The message says what to do.
    """
    try:
        with path.open("rb") as file:
            _check_seal(path, file, verify=verify)
    except FileNotFoundError:
        raise StoreError(
            f"there is no file {path}: collect it with `python -m lightning_stdim collect`"
        ) from None
    except OSError as error:
        raise StoreError(f"{path} cannot be read: {error.strerror}") from None


def write_header(path: Path, command: str) -> None:
    """Seal a complete file: write the header into the space that HDF5 has left for it.

    Args:
        path: the file.
        command: the command that makes the collection again.

    Raises:
        OSError: the file cannot be written.
    """
    with path.open("r+b") as file:
        start = _header_start(os.path.getsize(path), command)
        file.write(_header(start, _digest(start, file)))


def remedy(path: Path, command: str | None = None) -> str:
    """Say how to make a damaged file again, in the folder where it is.

    Args:
        path: the file.
        command: the command that made it, from its header; None if that is not known.

    Returns:
        Advice for the end of an error message.
    """
    # The command itself names no folder.
    again = command or "python -m lightning_stdim collect"
    elsewhere = path.parent.resolve() != Path("data").resolve()  # the default of --root
    root = f" --root {shlex.quote(str(path.parent))}" if elsewhere else ""
    return f"delete it and collect again with `{again}{root}`"


def _header_start(length: int, command: str) -> bytes:
    """Write the header without its last line; a command that does not fit is left out."""
    start = f"{_MAGIC}\nschema {SCHEMA}\nlength {length}\ncommand {{}}\n"
    room = HEADER_BYTES - len(start) - len(f"sha256 {'0' * 64}\n")
    fits = command.isascii() and "\n" not in command and len(command) <= room
    return start.format(command if fits else "").encode("ascii")


def _header(start: bytes, digest: str) -> bytes:
    return (start + f"sha256 {digest}\n".encode("ascii")).ljust(HEADER_BYTES, b"\0")


def _digest(start: bytes, file: BinaryIO) -> str:
    """Hash the header's start and everything after the header; leave the file at its beginning."""
    file.seek(HEADER_BYTES)
    sha256 = hashlib.sha256(start)
    while block := file.read(1 << 20):
        sha256.update(block)
    file.seek(0)
    return sha256.hexdigest()


def _check_seal(path: Path, file: BinaryIO, *, verify: bool) -> None:
    found = file.read(HEADER_BYTES)
    lines = found.rstrip(b"\0").decode("ascii", "replace").split("\n")
    if lines[0] != _MAGIC or len(lines) < 2:
        raise StoreError(
            f"{path} is not a file of collected frames, or a damaged one. If `collect` wrote it, "
            f"{remedy(path)}"
        )
    if lines[1] != f"schema {SCHEMA}":
        raise StoreError(
            f"{path} has {lines[1]!r} and this version of lightning-stdim reads schema {SCHEMA}: "
            f"if a newer version wrote it, `pip install --upgrade lightning-stdim`; else "
            f"{remedy(path)}"
        )
    entries = {key: value for key, _, value in (line.partition(" ") for line in lines[2:])}
    command = entries.get("command")
    length = os.fstat(file.fileno()).st_size
    if entries.get("length") != str(length):
        raise StoreError(
            f"{path} is truncated or damaged: it has {length} bytes, its header says "
            f"{entries.get('length')}: {remedy(path, command)}"
        )
    start = found[: found.find(b"sha256 ")]
    if found != _header(start, _digest(start, file) if verify else entries.get("sha256", "")):
        raise StoreError(
            f"{path} is damaged: its content does not have the SHA-256 that its header names: "
            f"{remedy(path, command)}"
        )
