"""Signals that end a command."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def terminated_as_interrupted() -> Iterator[None]:
    """Treat SIGTERM, which schedulers send at their time limit, like a Ctrl-C.

    Yields:
        Nothing.

    Raises:
        KeyboardInterrupt: the process got SIGTERM.
    """
    if threading.current_thread() is not threading.main_thread():  # no other gets signals
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
