"""The processes that play: both ends of the pipe.

The emulator holds Python's global lock, so games are played in processes. They are started as
commands of their own rather than by :mod:`multiprocessing`: that would import the user's main
module (often with torch in it) in each of them, and needs a guard in scripts. Orders and reports
are lines of JSON. A worker ends with its standard input, so none outlives the process that
started it.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TextIO

import numpy as np

from lightning_stdim import errors
from lightning_stdim.errors import ConfigurationError, LightningStdimError, StoreError
from lightning_stdim.imports import what_failed

if TYPE_CHECKING:
    from lightning_stdim.datamodules.pixels import Pixels
    from lightning_stdim.datamodules.states import Columns

_MODULE = "lightning_stdim.datamodules.worker"


class Report(NamedTuple):
    """What a worker says.

    Attributes:
        worker: which worker.
        message: ``{"settings"}`` of the emulator when it is ready, ``{"game", "start", "rows",
            "ended"}`` for a piece that is written, ``{"error", "reason"}`` (a class of
            :mod:`~lightning_stdim.errors` and its message) before it gives up, ``{}`` when it has
            died.
    """

    worker: int
    message: dict[str, Any]


class Crew:
    """Worker processes, as a context that ends them.

    Args:
        size: how many.
        orders: arguments of :func:`_play` that are the same for every game.
    """

    def __init__(self, size: int, orders: dict[str, Any]) -> None:
        self._reports: queue.SimpleQueue[Report] = queue.SimpleQueue()
        # The package must be found in the same place, however this process came by it: so -P, or
        # the current folder would come first.
        package_root = str(Path(__file__).resolve().parents[2])
        path = os.pathsep.join(filter(None, [package_root, os.environ.get("PYTHONPATH")]))
        self._processes = [
            subprocess.Popen(
                [sys.executable, "-P", "-m", _MODULE, json.dumps(orders)],
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

    def __enter__(self) -> Crew:
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
        # Of all of them, so that whatever is reported from now on is a piece.
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
        """Wait for the next piece.

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


def _play(
    reports: TextIO,
    orders: queue.SimpleQueue[dict[str, int]],
    *,
    game: str,
    policy: dict[str, Any],
    pixels: Pixels,
    mode: int | None,
    difficulty: int | None,
    seed: int,
    folder: str,
    size: int,
) -> None:
    """Play ordered games and write their pieces, for ever."""
    # ale-py brings its games into Gymnasium where that can be imported: of no use here, and slow.
    sys.modules["gymnasium"] = None  # type: ignore[assignment]
    from lightning_stdim.datamodules import piece_file, play
    from lightning_stdim.datamodules.emulator import Emulator
    from lightning_stdim.datamodules.partial import piece_name
    from lightning_stdim.datamodules.policies import PolicySettings
    from lightning_stdim.datamodules.recording import Recorder
    from lightning_stdim.datamodules.seeds import game_seed

    del sys.modules["gymnasium"]  # a policy may want it
    make_policy = PolicySettings(**policy).load()
    emulator = Emulator(game, pixels, mode=mode, difficulty=difficulty)
    recorder = Recorder(size)
    print(json.dumps({"settings": emulator.settings}), file=reports, flush=True)
    while True:
        order = orders.get()
        number = order["game"]
        played = play.pieces(
            emulator,
            make_policy,
            game_seed(seed, number),
            limit=order["limit"],
            recorder=recorder,
        )
        start = 0
        for columns, ended in played:
            rows = len(columns["actions"])
            path = Path(folder) / piece_name(number, start, rows, ended)
            if path.exists():  # an interrupted game is played again
                _check_same(columns, piece_file.read(path), path, policy)
            else:
                piece_file.write(path, columns)
            message = {"game": number, "start": start, "rows": rows, "ended": ended}
            print(json.dumps(message), file=reports, flush=True)
            start += rows


def _check_same(played: Columns, kept: Columns, path: Path, policy: dict[str, Any]) -> None:
    """Refuse to put a game together from two that went different ways."""
    if not all(np.array_equal(played[name], kept[name]) for name in played):
        raise ConfigurationError(
            f"a game went another way when it was played again: policy {policy['policy']!r} does "
            "not always do the same with the same frames and generator, or a library that it uses "
            f"has changed. Delete {path.parent} to start afresh"
        )


def main() -> None:
    """Be a worker."""
    # Whatever a library prints must not get among the reports.
    reports = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    orders: queue.SimpleQueue[dict[str, int]] = queue.SimpleQueue()

    def listen() -> None:
        for line in sys.stdin:
            orders.put(json.loads(line))
        os._exit(0)  # the parent is gone, or wants no more

    threading.Thread(target=listen, daemon=True).start()
    try:
        _play(reports, orders, **json.loads(sys.argv[1]))
    except LightningStdimError as error:
        failure = error
    except Exception as error:
        failure = StoreError(f"a worker process failed: {what_failed(error)}")
    report = {"error": type(failure).__name__, "reason": str(failure)}
    print(json.dumps(report), file=reports, flush=True)
    os._exit(1)


if __name__ == "__main__":
    main()
