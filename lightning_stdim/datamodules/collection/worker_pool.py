"""The parent's end of the processes that play."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from lightning_stdim import errors
from lightning_stdim.errors import StoreError

if TYPE_CHECKING:
    pass

_MODULE = "lightning_stdim.datamodules.collection.worker"


class Report(NamedTuple):
    """What a worker says.

    Attributes:
        worker: which worker.
        message: ``{"settings"}`` of the emulator when it is ready, ``{"game", "start", "rows",
            "ended"}`` for a segment that is written, ``{"error", "reason"}`` (a class of
            :mod:`~lightning_stdim.errors` and its message) before it gives up, ``{}`` when it has
            died.
    """

    worker: int
    message: dict[str, Any]


class WorkerPool:
    """Worker processes, as a context that ends them.

    Args:
        size: how many.
        job: arguments of :func:`_play` that are the same for every game.
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
                text=True,
                start_new_session=True,  # Ctrl-C is for the parent, which then ends the workers
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
                with contextlib.suppress(OSError):  # an order that a dead worker never read
                    pipe.close()

    def _listen(self, worker: int) -> None:
        stdout = self._processes[worker].stdout
        assert stdout is not None
        for line in stdout:
            self._reports.put(Report(worker, json.loads(line)))
        self._reports.put(Report(worker, {}))

    def play(self, worker: int, game: int, limit: int) -> None:
        """Order a game.

        Args:
            worker: which worker; it should be idle.
            game: the game's number.
            limit: the most rows of it that are needed.
        """
        stdin = self._processes[worker].stdin
        assert stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it has died: that report is on its way
            print(json.dumps({"game": game, "limit": limit}), file=stdin, flush=True)

    def settings(self) -> dict[str, Any]:
        """Wait for the workers to be ready; to be called once, before anything is ordered.

        Returns:
            ``Emulator.settings``, so that the calling process needs no emulator.

        Raises:
            ConfigurationError: what was ordered cannot be played.
            EncoderError: an agent's file holds something else.
            StoreError: a file cannot be read or written, or a worker has died.
        """
        # Of all of them, so that whatever is reported from now on is a segment.
        settings: list[dict[str, Any]] = [
            self.report().message["settings"] for _ in self._processes
        ]
        return settings[0]

    def has_news(self) -> bool:
        """Tell whether :meth:`report` need not wait.

        Returns:
            Whether it is so.
        """
        return not self._reports.empty()

    def report(self) -> Report:
        """Wait for the next segment.

        Returns:
            The report.

        Raises:
            ConfigurationError: what was ordered cannot be played.
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
