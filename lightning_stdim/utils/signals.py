"""Signals that end a command."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def terminated_as_interrupted(unless: Callable[[], bool] | None = None) -> Iterator[None]:
    """Treat SIGTERM, which schedulers send at their time limit, like a Ctrl-C.

    Args:
        unless: tells that something else takes care of the signal; None if nothing does.

    Yields:
        Nothing.

    Raises:
        KeyboardInterrupt: the process got SIGTERM.
    """
    if threading.current_thread() is not threading.main_thread():  # no other gets signals
        yield
        return

    def interrupt(number: int, frame: FrameType | None) -> None:
        if not (unless and unless()):
            signal.default_int_handler(number, frame)

    before = signal.signal(signal.SIGTERM, interrupt if unless else signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
