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
# HDF5's superblock, version 3, begins so. Bit 0 of byte 11 is set while a program has the file open
# for writing. Source: HDF5 file format specification 3.0, section II.A.
_SUPERBLOCK = b"\x89HDF\r\n\x1a\n\x03"
_STATUS = 11


def check(path: Path, *, verify: bool = True) -> None:
    """Make sure that a file is a complete collection of this schema.

    Args:
        path: the file.
        verify: hash the whole file; otherwise only the header and the length are checked.

    Raises:
        StoreError: the file is missing, damaged, of another schema or open for writing. The message
            says what to do.
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


def open_for_writing(path: Path) -> StoreError:
    """Make the error for a file that HDF5 takes for one that a program is writing to.

    The mark stays if that program is killed. Without it the file may be as good as ever.

    Args:
        path: the file.

    Returns:
        The error.
    """
    return StoreError(
        f"a program has {path} open for writing, or was killed while writing to it, and has left "
        "HDF5's mark in it: close the file there, or if there is no such program, remove the mark "
        f"with `h5clear --status {shlex.quote(str(path))}` (of HDF5's tools)"
    )


def remedy(path: Path, command: str | None = None) -> str:
    """Say how to make a damaged file again, in the folder where it is.

    It is never to be deleted: what looks damaged may be good.

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
    return f"move it away and collect again with `{again}{root}`"


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
    superblock = file.read(_STATUS + 1)
    lines = found.rstrip(b"\0").decode("ascii", "replace").split("\n")
    if lines[0] != _MAGIC or len(lines) < 2:
        raise StoreError(
            f"{path} is not a file of collected frames, or a damaged one. If `collect` wrote it, "
            f"{remedy(path)}"
        )
    if lines[1] != f"schema {SCHEMA}":
        raise StoreError(
            f"{path} has {lines[1]!r} and this version of lightning-stdim reads schema {SCHEMA}: "
            f"if a newer version wrote it, install that one; else {remedy(path)}"
        )
    if superblock.startswith(_SUPERBLOCK) and superblock[_STATUS:] and superblock[_STATUS] & 1:
        raise open_for_writing(path)
    entries = {key: value for key, _, value in (line.partition(" ") for line in lines[2:])}
    command = entries.get("command")
    length = os.fstat(file.fileno()).st_size
    longer = entries.get("length", "").isdigit() and length > int(entries["length"])
    if longer and len(found) == HEADER_BYTES:
        raise StoreError(
            f"{path} is damaged, or another program has changed it: it has {length} bytes, its "
            f"header says {entries['length']}: {remedy(path, command)}"
        )
    if entries.get("length") != str(length):
        raise StoreError(
            f"{path} is truncated or damaged: it has {length} bytes, its header says "
            f"{entries.get('length')}: {remedy(path, command)}"
        )
    start = found[: found.find(b"sha256 ")]
    if found != _header(start, _digest(start, file) if verify else entries.get("sha256", "")):
        raise StoreError(
            f"{path} is damaged, or another program has changed it: its content does not have the "
            f"SHA-256 that its header names: "
            f"{remedy(path, command)}"
        )
