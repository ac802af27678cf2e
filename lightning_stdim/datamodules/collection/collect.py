"""Collect the frames of a game into one file: in parallel, resumable, bit for bit reproducible."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, SupportsIndex

import filelock
import numpy as np
from numpy.typing import NDArray

from lightning_stdim._version import __version__
from lightning_stdim.datamodules import store
from lightning_stdim.datamodules.collection import recorder, segment_file
from lightning_stdim.datamodules.collection.seeds import game_seed
from lightning_stdim.datamodules.collection.settings import CollectionSettings
from lightning_stdim.datamodules.collection.unfinished import UnfinishedCollection, has_segments
from lightning_stdim.datamodules.collection.worker_pool import WorkerPool
from lightning_stdim.datamodules.columns import STATE_COLUMNS, Columns, States
from lightning_stdim.errors import StoreError
from lightning_stdim.utils.checks import integer
from lightning_stdim.utils.progress_bar import progress_bar

SEGMENT_ROWS = 1024
"""Rows that a worker records in memory before it writes them: what a kill can lose. They take about
a MB in Pong, and a dozen in Yars' Revenge."""


def collect(
    settings: CollectionSettings,
    *,
    workers: SupportsIndex = 1,
    root: str | Path = "data",
    progress: bool = True,
) -> Path:
    """Play a game and keep every frame with the state that it shows, in one file.

    The file is the same, bit for bit, for any number of workers, interrupted or not. One that is
    there already is not made again. A collection of more steps begins with the rows of a shorter
    one; only the last row's ``truncated`` and the last episode's length can differ.

    Args:
        settings: what to collect.
        workers: number of processes that play, at least 1; each takes about 80 MB.
        root: folder of the file; made if it is missing.
        progress: show a progress bar, and a line when waiting for another process, on the standard
            error stream.

    Returns:
        The file, named by :meth:`CollectionSettings.file_name`.

    Raises:
        ConfigurationError: there are less than one worker, or the game and its policy cannot be
            played with these settings.
        EncoderError: the policy's file holds no agent of a known kind.
        StoreError: the file cannot be written; one that is there is damaged; the policy's file is;
            or a worker died. What was played is kept, and the same call goes on from there.
        KeyboardInterrupt: when interrupted, with a message that says what is kept.
    """
    workers = integer("workers", workers, at_least=1)
    path = Path(root) / settings.file_name()
    folder = path.with_name(f"{path.name}.partial")
    # os.path.exists is false for what may not be looked at; writing it then says why.
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
    """Collect what is missing; return the whole file, still in the folder of the segments."""
    job = {"settings": asdict(settings), "folder": str(folder), "segment_rows": SEGMENT_ROWS}
    with WorkerPool(workers, job) as pool:
        attributes = _attributes(settings) | pool.settings()
        # Segments were once called pieces: with another key no unfinished collection would go on.
        segments_are = {"piece_rows": SEGMENT_ROWS, "piece_schema": recorder.SCHEMA}
        partial = UnfinishedCollection(folder, {**attributes, **segments_are})
        with progress_bar(f"collecting {settings.game}", settings.steps, enabled=progress) as bar:
            show = _with_rate(bar, settings.steps)
            segments = _play(partial, pool, workers, settings.steps, show)
            return _assemble(partial, settings, attributes, segments)


def _play(
    partial: UnfinishedCollection,
    pool: WorkerPool,
    workers: int,
    steps: int,
    show: Callable[[int], None],
) -> Iterator[tuple[int, Path]]:
    """Have games played; yield the segments in order, each as soon as it is there."""
    idle = set(range(workers))
    playing: dict[int, tuple[int, int]] = {}  # worker: game, limit
    for segment in partial.in_order():
        show(partial.total())
        while idle and (order := partial.next_game(steps, [game for game, _ in playing.values()])):
            worker = idle.pop()
            playing[worker] = order
            pool.play(worker, *order)
        if segment is not None:
            yield segment
        if segment is None or pool.has_news():
            worker, message = pool.report()
            partial.add(**message)
            _, limit = playing[worker]
            if message["ended"] or message["start"] + message["rows"] == limit:
                idle.add(worker)
                del playing[worker]


def _assemble(
    partial: UnfinishedCollection,
    settings: CollectionSettings,
    attributes: dict[str, Any],
    segments: Iterator[tuple[int, Path]],
) -> Path:
    """Put the segments together while they come, cut after the last step."""
    steps, labels = settings.steps, settings.labels
    waiting: list[Columns] = []  # states whose frames have been written, or are next
    ends: list[NDArray[np.int64]] = []
    games: list[int] = []  # one a segment
    firsts: list[int] = []  # rows, one a segment
    returns: defaultdict[int, float] = defaultdict(float)  # one a game
    over = False  # whether the last game was played to its end

    def frames() -> Iterator[NDArray[np.uint8]]:
        row = 0
        for game, segment in segments:
            columns = segment_file.read(segment)
            waiting.append({name: columns[name] for name in STATE_COLUMNS})
            games.append(game)
            firsts.append(row)
            returns[game] += float(columns["rewards"].sum())
            row += len(columns["actions"])
            yield from recorder.frames(columns, settings.pixels)

    def states(rows: slice) -> Columns:
        nonlocal over
        joined = {name: np.concatenate([part[name] for part in waiting]) for name in STATE_COLUMNS}
        count = rows.stop - rows.start
        waiting[:] = [{name: column[count:] for name, column in joined.items()}]
        given = {name: column[:count] for name, column in joined.items()}
        if rows.stop == steps:
            given["truncated"][-1] |= not given["terminated"][-1]
            over = States(**given).game_over()
        ends.append(np.flatnonzero(given["terminated"] | given["truncated"]) + rows.start + 1)
        return {**given, "labels": labels.decode(given["ram"]).astype(np.uint8)}

    def finish() -> tuple[Columns, dict[str, Any]]:
        stop = np.concatenate(ends)
        start = np.concatenate([[0], stop[:-1]])
        segments_of = np.searchsorted(firsts, start, side="right") - 1
        seeds = np.array([game_seed(settings.seed, games[segment]) for segment in segments_of])
        whole = [returns[game] for game in returns if over or game != games[-1]]
        mean = {"mean_return": float(np.mean(whole))} if whole else {}
        return {"start": start, "length": stop - start, "seed": seeds}, {**attributes, **mean}

    whole = partial.folder / "whole.h5"
    try:
        store.write_stream(
            whole,
            steps,
            frames(),
            states,
            finish,
            variables=labels.variables,
            pixels=settings.pixels,
        )
    except (StoreError, KeyboardInterrupt) as error:
        reason = str(error) or "interrupted"
        if not has_segments(partial.folder):
            raise type(error)(f"{reason}; there is nothing to keep yet") from None
        raise type(error)(
            f"{reason}; what was played is kept in {partial.folder} ({partial.reached()} of "
            f"{steps} steps from the beginning): do the same again to go on"
        ) from None
    return whole


@contextmanager
def _exclusive_lock(path: Path, progress: bool) -> Iterator[None]:
    """Keep other processes from collecting the same file; wait while another one does."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(path.with_name(f".{path.name}.lock"))
        try:
            lock.acquire(timeout=0)
        except filelock.Timeout:
            if progress:
                print(f"another process is collecting {path}: waiting for it", file=sys.stderr)
            lock.acquire()
    except OSError as error:
        raise StoreError(
            f"{path.parent} cannot be written: {error.strerror}: choose another root"
        ) from None
    with lock:  # counts one more level of the same lock
        try:
            yield
        finally:
            lock.release()


def _with_rate(update: Callable[[int, str], None], steps: int) -> Callable[[int], None]:
    """Show how many steps there are and how fast they come."""
    start: tuple[float, int] | None = None  # when, and what an earlier run had left

    def show(done: int) -> None:
        nonlocal start
        now = time.monotonic()
        start = start or (now, done)
        rate = f"{(done - start[1]) / (now - start[0]):.0f} steps/s" if done > start[1] else ""
        update(min(done, steps), rate)

    return show
