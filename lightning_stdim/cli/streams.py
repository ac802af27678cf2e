"""Standard output and error that cannot end a command, whatever console or pipe they lead to."""

from __future__ import annotations

import codecs
import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

READABLE = "lightning_stdim.readable"
"""Name of the handler of characters that a console's encoding lacks, for :func:`open`."""

SIMILAR = str.maketrans("–−—‑’‘“”…×·±•", "----''\"\".x.~*") | str.maketrans({"≤": "<=", "≥": ">="})
"""Signs of the tables, and what stands for them in ASCII: as wide as they are, but for the last
two, which would mean something else without the equals sign."""


def _readable(error: UnicodeError) -> tuple[str | bytes, int]:
    """Write a character that the encoding lacks as a similar one, or else as its number."""
    if isinstance(error, UnicodeEncodeError):
        text = error.object[error.start : error.end].translate(SIMILAR)
        return text.encode("ascii", "backslashreplace"), error.end
    return codecs.backslashreplace_errors(error)


codecs.register_error(READABLE, _readable)


class _Forgiving(io.FileIO):
    """A file that loses what cannot be written, such as to a pipe whose reader is gone."""

    def write(self, data: object) -> int:
        try:
            return super().write(data)  # type: ignore[arg-type]
        except OSError:
            return memoryview(data).nbytes  # type: ignore[arg-type]


@contextmanager
def forgiving_output() -> Iterator[None]:
    """Let nothing that is printed in the block raise an error.

    Characters that a console's encoding lacks are written as similar ones. What cannot be written
    at all, since the reader of a pipe is gone (``| head``) or a disk is full, is lost. Streams that
    are not the process's own keep their files, and are only given the handler of characters.

    Yields:
        Nothing.
    """
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = _forgiving(sys.stdout), _forgiving(sys.stderr)
    try:
        yield
    finally:
        for stream in (sys.stdout, sys.stderr):
            if stream:  # there is none in a window without a console
                stream.flush()
        sys.stdout, sys.stderr = before


def _forgiving(stream: TextIO) -> TextIO:
    if not isinstance(stream, io.TextIOWrapper):  # there is none, or a notebook's
        return stream
    raw = getattr(stream.buffer, "raw", stream.buffer)
    if stream not in (sys.__stdout__, sys.__stderr__) or type(raw) is not io.FileIO:
        stream.reconfigure(errors=READABLE)
        return stream
    stream.flush()
    file = _Forgiving(raw.fileno(), "w", closefd=False)
    return io.TextIOWrapper(
        file if raw is stream.buffer else io.BufferedWriter(file),  # the former with python -u
        encoding=stream.encoding,
        errors=READABLE,
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )
