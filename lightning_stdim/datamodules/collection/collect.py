"""Collecting the frames of a game in one file: in parallel, resumable and reproducible."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, SupportsIndex

from lightning_stdim._version import __version__
from lightning_stdim.datamodules import store
from lightning_stdim.datamodules.collection import recorder
from lightning_stdim.datamodules.collection.assemble import assemble
from lightning_stdim.datamodules.collection.settings import CollectionSettings
from lightning_stdim.datamodules.collection.unfinished import UnfinishedCollection, has_segments
from lightning_stdim.datamodules.collection.worker_pool import WorkerPool
from lightning_stdim.errors import StoreError
from lightning_stdim.utils.checks import integer
from lightning_stdim.utils.locks import LockHeldError, exclusive_lock
from lightning_stdim.utils.progress_bar import progress_bar

SEGMENT_ROWS = 1024
"""Number of rows in a segment. A worker records a segment in memory before it writes it, so this is
what a kill can lose. A segment takes about 1 MB in Pong and 12 MB in Yars' Revenge."""
POLL_SECONDS = 0.1


def collect(
    settings: CollectionSettings,
    *,
    workers: SupportsIndex = 1,
    root: str | Path = "data",
    progress: bool = True,
) -> Path:
    """Play a game, and store every frame and the emulator state that it shows in one file.

    The file is the same, bit for bit, for any number of workers, and whether or not it was
    interrupted. A file that exists already is not made again. A collection of more steps begins
    with the rows of a shorter one; only the ``truncated`` of the shorter one's last row and the
    length of its last episode can differ.

    Args:
        settings: what to collect.
        workers: number of processes that play, at least 1. Each takes about 80 MB of memory.
        root: folder for the file; made if it is missing.
        progress: show a progress bar on standard error, and a line while another process collects
            the same file.

    Returns:
        The file's path. :meth:`CollectionSettings.file_name` gives its name.

    Raises:
        ConfigurationError: `workers` is wrong, or the game cannot be played with these settings.
        EncoderError: the policy's file holds no agent of a known kind.
        StoreError: the file cannot be written, the file or the policy's file is damaged, or a
            worker died. What was played is kept, and the same call goes on from there.
        KeyboardInterrupt: collecting was interrupted; the message says what is kept.
    """
    workers = integer("workers", workers, at_least=1)
    path = Path(root) / settings.file_name()
    folder = path.with_name(f"{path.name}.partial")
    # os.path.exists is False where access is denied; writing then says why.
    if not os.path.exists(path) or os.path.exists(folder):
        with _exclusive_lock(path, progress):
            try:
                if not path.exists():
                    _collect(folder, settings, workers, progress).replace(path)
            finally:
                if path.exists() or not has_segments(folder):
                    shutil.rmtree(folder, ignore_errors=True)
    store.check(path)
    return path


def _attributes(settings: CollectionSettings) -> dict[str, Any]:
    """Describe a collection for its file."""
    labels = settings.labels
    return {
        "game": settings.game,
        **settings.policy_settings.attributes(),
        "seed": settings.seed,
        "steps": settings.steps,
        "label_set": labels.label_set,
        "label_set_version": labels.version,
        "command": settings.command(),
        "lightning_stdim": __version__,
        "schema": store.SCHEMA,
    }


def _collect(folder: Path, settings: CollectionSettings, workers: int, progress: bool) -> Path:
    """Play what is missing; return the complete file, still in the folder of the segments."""
    job = {"settings": asdict(settings), "folder": str(folder), "segment_rows": SEGMENT_ROWS}
    with WorkerPool(workers, job) as pool:
        attributes = _attributes(settings) | pool.settings()
        # These keys name segments as they were called before. With other keys, collections that
        # were left unfinished then would start over.
        segments_are = {"piece_rows": SEGMENT_ROWS, "piece_schema": recorder.SCHEMA}
        unfinished = UnfinishedCollection(folder, {**attributes, **segments_are})
        with progress_bar(f"collecting {settings.game}", settings.steps, enabled=progress) as bar:
            show = _with_rate(bar, settings.steps)
            segments = _play(unfinished, pool, workers, settings.steps, show)
            return assemble(unfinished, settings, attributes, segments)


def _play(
    unfinished: UnfinishedCollection,
    pool: WorkerPool,
    workers: int,
    steps: int,
    show: Callable[[int], None],
) -> Iterator[tuple[int, Path]]:
    """Keep the workers busy, and yield the segments in order, each as soon as it is there."""
    idle = set(range(workers))
    playing: dict[int, tuple[int, int]] = {}  # worker: game, limit
    for segment in unfinished.in_order():
        show(unfinished.total())
        running = [game for game, _ in playing.values()]
        while idle and (chosen := unfinished.next_game(steps, running)):
            worker = idle.pop()
            playing[worker] = chosen
            running.append(chosen[0])
            pool.play(worker, *chosen)
        if segment is not None:
            yield segment
        if segment is None or pool.has_news():
            worker, message = pool.report()
            unfinished.add(**message)
            _, limit = playing[worker]
            if message["ended"] or message["start"] + message["rows"] == limit:
                idle.add(worker)
                del playing[worker]


@contextmanager
def _exclusive_lock(path: Path, progress: bool) -> Iterator[None]:
    """Let only one process at a time collect a file; the others wait."""
    with ExitStack() as held:
        waiting = False
        while True:
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                held.enter_context(exclusive_lock(path.with_name(f".{path.name}.lock")))
                break
            except LockHeldError as error:
                if progress and not waiting:
                    message = f"another process is collecting {path}: waiting for it{error.unless}"
                    print(message, file=sys.stderr)
                waiting = True
                time.sleep(POLL_SECONDS)
            except OSError as error:
                raise StoreError(
                    f"{path.parent} cannot be written: {error.strerror}: choose another root"
                ) from None
        yield


def _with_rate(update: Callable[[int, str], None], steps: int) -> Callable[[int], None]:
    """Show the number of steps so far and the steps per second."""
    start: tuple[float, int] | None = None  # the time, and the steps that an earlier run has left

    def show(done: int) -> None:
        nonlocal start
        now = time.monotonic()
        start = start or (now, done)
        rate = f"{(done - start[1]) / (now - start[0]):.0f} steps/s" if done > start[1] else ""
        update(min(done, steps), rate)

    return show
