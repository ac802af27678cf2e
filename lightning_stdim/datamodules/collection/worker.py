"""A worker process: it plays the games that it is asked for and writes their segments.

The emulator holds Python's global lock, so games are played in processes. They are started as
commands of their own rather than by :mod:`multiprocessing`, which would import the user's main
module (often with torch in it) in each of them, and which scripts must guard against. Requests come
on the standard input and reports go to the standard output, as lines of JSON. A worker ends when
its standard input does, so none outlives the process that started it.
"""

from __future__ import annotations

import json
import os
import queue
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import numpy as np

from lightning_stdim.errors import ConfigurationError, LightningStdimError, StoreError
from lightning_stdim.utils.user_code import what_failed

if TYPE_CHECKING:
    from lightning_stdim.datamodules.columns import Columns


def _play(
    reports: TextIO,
    games: queue.SimpleQueue[dict[str, int]],
    *,
    settings: dict[str, Any],
    folder: str,
    segment_rows: int,
) -> None:
    """Play the games that are asked for and write their segments, for ever."""
    # ale-py brings its games into Gymnasium where that can be imported: of no use here, and slow.
    sys.modules["gymnasium"] = None  # type: ignore[assignment]
    from lightning_stdim.datamodules.collection import segment_file
    from lightning_stdim.datamodules.collection.game import segments
    from lightning_stdim.datamodules.collection.recorder import Recorder
    from lightning_stdim.datamodules.collection.seeds import game_seed
    from lightning_stdim.datamodules.collection.settings import CollectionSettings
    from lightning_stdim.datamodules.collection.unfinished import segment_name
    from lightning_stdim.datamodules.emulator.emulator import Emulator

    del sys.modules["gymnasium"]  # a policy may want it
    made = CollectionSettings(**settings)
    make_policy = made.policy_settings.load()
    emulator = Emulator(
        made.game,
        made.pixels,
        mode=made.mode,
        difficulty=made.difficulty,
        environment=made.environment,
    )
    recorder = Recorder(segment_rows)
    print(json.dumps({"settings": emulator.settings}), file=reports, flush=True)
    while True:
        request = games.get()
        number = request["game"]
        played = segments(
            emulator,
            make_policy,
            game_seed(made.seed, number),
            limit=request["limit"],
            recorder=recorder,
        )
        start = 0
        for columns, ended in played:
            rows = len(columns["actions"])
            path = Path(folder) / segment_name(number, start, rows, ended)
            if path.exists():  # an interrupted game is played again
                _check_same(columns, segment_file.read(path), path, made.policy)
            else:
                segment_file.write(path, columns)
            message = {"game": number, "start": start, "rows": rows, "ended": ended}
            print(json.dumps(message), file=reports, flush=True)
            start += rows


def _check_same(played: Columns, kept: Columns, path: Path, policy: object) -> None:
    """Make sure that a game that is played again goes as it did before."""
    if not all(np.array_equal(played[name], kept[name]) for name in played):
        raise ConfigurationError(
            f"a game went another way when it was played again: policy {policy!r} does "
            "not always do the same with the same frames and generator, or a library that it uses "
            f"has changed. Delete {path.parent} to start afresh"
        )


def main() -> None:
    """Run a worker until its standard input ends."""
    # What libraries print must not get between the reports.
    reports = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    games: queue.SimpleQueue[dict[str, int]] = queue.SimpleQueue()

    def listen() -> None:
        for line in sys.stdin:
            games.put(json.loads(line))
        os._exit(0)  # the parent is gone, or wants no more

    threading.Thread(target=listen, daemon=True).start()
    try:
        _play(reports, games, **json.loads(sys.argv[1]))
    except LightningStdimError as error:
        failure = error
    except Exception as error:
        failure = StoreError(f"a worker process failed: {what_failed(error)}")
    report = {"error": type(failure).__name__, "reason": str(failure)}
    print(json.dumps(report), file=reports, flush=True)
    os._exit(1)


if __name__ == "__main__":
    main()
