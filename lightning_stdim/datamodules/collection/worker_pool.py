"""The pool of worker processes that play, as seen from the process that collects."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any, NamedTuple

from lightning_stdim import errors
from lightning_stdim.errors import StoreError

_MODULE = "lightning_stdim.datamodules.collection.worker"


class Report(NamedTuple):
    """A worker's message.

    Attributes:
        worker: number of the worker.
        message: with the key ``"settings"`` (of the emulator) when the worker is ready; with
            ``"game"``, ``"start"``, ``"rows"`` and ``"ended"`` when it has written a segment; with
            ``"error"`` (a class of :mod:`~lightning_stdim.errors`) and ``"reason"`` before it gives
            up; empty when it has died.
    """

    worker: int
    message: dict[str, Any]


class WorkerPool:
    """Worker processes that play; a context manager that ends them.

    Args:
        size: number of workers.
        job: what all games have in common: the keyword arguments of the worker's ``_play``.
    """

    def __init__(self, size: int, job: dict[str, Any]) -> None:
        self._reports: queue.SimpleQueue[Report] = queue.SimpleQueue()
        # The package must be found in the same place, however this process came by it: so -P, or
        # the current folder would come first.
        package_root = str(Path(__file__).resolve().parents[3])
        path = os.pathsep.join(filter(None, [package_root, os.environ.get("PYTHONPATH")]))
        self._processes = [
            subprocess.Popen(
                [sys.executable, "-P", "-m", _MODULE, json.dumps(job)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                # A thread per core and worker would only stand in each other's way; and how many
                # there are can change a sum's rounding, and so what an agent does.
                env={
                    **os.environ,
                    "PYTHONPATH": path,
                    "OPENBLAS_NUM_THREADS": "1",
                    "OMP_NUM_THREADS": "1",
                    "MKL_NUM_THREADS": "1",
                },
                encoding="utf-8",
                process_group=0,  # Ctrl-C is for the parent, which then ends the workers
            )
            for _ in range(size)
        ]
        for worker in range(size):
            threading.Thread(target=self._listen, args=(worker,), daemon=True).start()

    def __enter__(self) -> WorkerPool:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes:
            process.kill()  # whatever it is writing has a temporary name
        for process in self._processes:
            process.wait()
            for pipe in (process.stdin, process.stdout):
                assert pipe is not None
                with contextlib.suppress(OSError):  # a request that a dead worker never read
                    pipe.close()

    def _listen(self, worker: int) -> None:
        stdout = self._processes[worker].stdout
        assert stdout is not None
        for line in stdout:
            self._reports.put(Report(worker, json.loads(line)))
        self._reports.put(Report(worker, {}))

    def play(self, worker: int, game: int, limit: int) -> None:
        """Ask a worker to play a game.

        Args:
            worker: number of the worker; it should be idle.
            game: number of the game.
            limit: largest number of its rows that can be needed.
        """
        stdin = self._processes[worker].stdin
        assert stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it has died: that report is on its way
            print(json.dumps({"game": game, "limit": limit}), file=stdin, flush=True)

    def settings(self) -> dict[str, Any]:
        """Wait for the workers to be ready; to be called once, before the first game.

        Returns:
            ``Emulator.settings``, so that the calling process needs no emulator.

        Raises:
            ConfigurationError: the game cannot be played with these settings.
            EncoderError: an agent's file holds something else.
            StoreError: a file cannot be read or written, or a worker has died.
        """
        # Wait for all of them: every later report is about a segment.
        settings: list[dict[str, Any]] = [
            self.report().message["settings"] for _ in self._processes
        ]
        return settings[0]

    def has_news(self) -> bool:
        """Tell whether a report is there already.

        Returns:
            True if :meth:`report` would not wait.
        """
        return not self._reports.empty()

    def report(self) -> Report:
        """Wait for the next segment.

        Returns:
            The report.

        Raises:
            ConfigurationError: the game cannot be played with these settings.
            EncoderError: an agent's file holds something else.
            StoreError: a file cannot be read or written, or a worker has died.
        """
        report = self._reports.get()
        if not report.message:
            code = self._processes[report.worker].wait()
            how = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
            raise StoreError(f"a worker process {how}")
        if "error" in report.message:
            raise getattr(errors, report.message["error"])(report.message["reason"])
        return report
