"""Collect the frames of a game into one file: in parallel, resumable, bit for bit reproducible."""

from __future__ import annotations

import operator
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
from lightning_stdim.datamodules.collection.unfinished import UnfinishedCollection, has_segments
from lightning_stdim.datamodules.collection.worker_pool import WorkerPool
from lightning_stdim.datamodules.columns import STATE_COLUMNS, Columns, States
from lightning_stdim.datamodules.labels.annotations import annotation
from lightning_stdim.datamodules.labels.games import LabelSet, canonical_game, default_label_set
from lightning_stdim.datamodules.pixels import Pixels, frame_shape
from lightning_stdim.datamodules.policies.settings import PolicySettings
from lightning_stdim.errors import ConfigurationError, StoreError
from lightning_stdim.utils.progress_bar import progress_bar

SEGMENT_ROWS = 1024
"""Rows that a worker records in memory before it writes them: what a kill can lose. They take about
a MB in Pong, and a dozen in Yars' Revenge."""


def collect(
    game: str,
    *,
    steps: SupportsIndex,
    seed: SupportsIndex = 0,
    workers: SupportsIndex = 1,
    root: str | Path = "data",
    policy: str | os.PathLike[str] = "random",
    epsilon: float = 0.0,
    greedy: bool = False,
    pixels: Pixels = "luma",
    mode: SupportsIndex | None = None,
    difficulty: SupportsIndex | None = None,
    label_set: LabelSet | None = None,
    progress: bool = True,
) -> Path:
    """Play a game and keep every frame with the state that it shows, in one file.

    The file is the same, bit for bit, for any number of workers, interrupted or not. One that is
    there already is not made again. A collection of more steps begins with the rows of a shorter
    one; only the last row's ``truncated`` and the last episode's length can differ.

    Args:
        game: any usual spelling of an annotated game's name.
        steps: number of rows, at least 1. The episode that the last one belongs to is cut there.
        seed: 0 to 2**63 - 1. Collections of different seeds share no game.
        workers: number of processes that play, at least 1; each takes about 80 MB.
        root: folder of the file; made if it is missing.
        policy: who plays: ``"random"``, ``"sticky-random"``, an agent's file or
            ``"module:callable"``; see
            :class:`~lightning_stdim.datamodules.policies.PolicySettings`.
        epsilon: probability that an action is replaced by a uniform one, 0 to 1; the protocol's
            PPO agent has 0.2.
        greedy: an agent's most probable action instead of a drawn one.
        pixels: ``"luma"``, the protocol's grey frames, or ``"rgb"``. The games are the same: an
            agent sees luma in either case.
        mode: number of the game's mode; by default the one that the emulator starts with, the
            protocol's.
        difficulty: the same of its difficulty.
        label_set: which variables to label; by default the paper's where it has the game, else the
            upstream ones.
        progress: show a progress bar, and a line when waiting for another process, on the standard
            error stream.

    Returns:
        The file. Its name tells everything that its content depends on.

    Raises:
        ConfigurationError: an argument is wrong, or the policy cannot play this game.
        EncoderError: the policy's file holds no agent of a known kind.
        StoreError: the file cannot be written; one that is there is damaged; the policy's file is;
            or a worker died. What was played is kept, and the same call goes on from there.
        KeyboardInterrupt: when interrupted, with a message that says what is kept.
    """
    game = canonical_game(game)
    steps, workers = _integer("steps", steps, least=1), _integer("workers", workers, least=1)
    seed = _integer("seed", seed, least=0)
    mode = None if mode is None else _integer("mode", mode, least=0)
    difficulty = None if difficulty is None else _integer("difficulty", difficulty, least=0)
    policy = os.fspath(policy) if isinstance(policy, os.PathLike) else policy
    who = PolicySettings(policy=policy, epsilon=epsilon, greedy=greedy)
    label_set = label_set or default_label_set(game)
    labels = annotation(game, label_set)
    labels.check_bytes()
    frame_shape(pixels)  # checks it
    emulator = {"pixels": pixels, "mode": mode, "difficulty": difficulty}
    choices = _non_default(game, pixels, mode, difficulty, label_set)
    path = Path(root) / _file_name(game, who, seed, steps, choices)
    folder = path.with_name(f"{path.name}.partial")
    # os.path.exists is false for what may not be looked at; writing it then says why.
    if not os.path.exists(path) or os.path.exists(folder):
        attributes = {
            "game": game,
            **who.attributes(),
            "seed": seed,
            "steps": steps,
            "label_set": labels.label_set,
            "label_set_version": labels.version,
            "command": f"python -m lightning_stdim collect --game {game} --steps {steps} "
            f"--seed {seed}{who.options()}"
            + "".join(f" --{name} {choice}" for name, choice in choices.items()),
            "lightning_stdim": __version__,
            "schema": store.SCHEMA,
        }
        with _exclusive_lock(path, progress):
            try:
                if not path.exists():
                    _collect(folder, attributes, who, emulator, workers, progress).replace(path)
            finally:
                if path.exists() or not has_segments(folder):
                    shutil.rmtree(folder, ignore_errors=True)
    store.check(path)
    return path


def collection_name(
    game: str,
    *,
    steps: int,
    seed: int = 0,
    policy: str = "random",
    epsilon: float = 0.0,
    greedy: bool = False,
    pixels: Pixels = "luma",
    mode: int | None = None,
    difficulty: int | None = None,
    label_set: LabelSet | None = None,
) -> str:
    """Name the file that :func:`collect` writes for the same arguments.

    Args:
        game: canonical name.
        steps: as for :func:`collect`, and so are the others.
        seed: as above.
        policy: as above.
        epsilon: as above.
        greedy: as above.
        pixels: as above.
        mode: as above.
        difficulty: as above.
        label_set: as above.

    Returns:
        The name without the folder.

    Raises:
        StoreError: the policy's file cannot be read.
    """
    who = PolicySettings(policy=policy, epsilon=epsilon, greedy=greedy)
    return _file_name(
        game, who, seed, steps, _non_default(game, pixels, mode, difficulty, label_set)
    )


def _file_name(
    game: str, who: PolicySettings, seed: int, steps: int, choices: dict[str, str]
) -> str:
    words = (
        f"{name}{choice}" if choice.isdecimal() else choice for name, choice in choices.items()
    )
    return "-".join([game, who.label(), f"seed{seed}", str(steps), *words]) + ".h5"


def _non_default(
    game: str,
    pixels: Pixels,
    mode: int | None,
    difficulty: int | None,
    label_set: LabelSet | None,
) -> dict[str, str]:
    """Give what name and command have to tell: what they do not tell is the default."""
    choices = {
        "pixels": None if pixels == "luma" else pixels,
        "mode": mode,
        "difficulty": difficulty,
        "label_set": None if label_set == default_label_set(game) else label_set,
    }
    return {name: str(choice) for name, choice in choices.items() if choice is not None}


def _integer(name: str, value: SupportsIndex, *, least: int) -> int:
    """Take any kind of integer, NumPy's too, and nothing that would have to be rounded."""
    try:
        number = operator.index(value)
    except TypeError:
        raise ConfigurationError(f"{name} is {value!r}: it must be an integer") from None
    if not least <= number < 2**63:
        raise ConfigurationError(f"{name} is {number}: it must be {least} or more")
    return number


def _collect(
    folder: Path,
    attributes: dict[str, Any],
    who: PolicySettings,
    emulator: dict[str, Any],
    workers: int,
    progress: bool,
) -> Path:
    """Collect what is missing; return the whole file, still in the folder of the segments."""
    game, steps, seed = (attributes[name] for name in ("game", "steps", "seed"))
    job = {
        "game": game,
        "policy": asdict(who),
        **emulator,
        "seed": seed,
        "folder": str(folder),
        "size": SEGMENT_ROWS,
    }
    with WorkerPool(workers, job) as pool:
        attributes = attributes | pool.settings()
        segments_are = {"piece_rows": SEGMENT_ROWS, "piece_schema": recorder.SCHEMA}
        partial = UnfinishedCollection(folder, {**attributes, **segments_are})
        with progress_bar(f"collecting {game}", steps, enabled=progress) as update:
            segments = _play(partial, pool, workers, steps, _with_rate(update, steps))
            return _assemble(partial, attributes, emulator["pixels"], segments)


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
    attributes: dict[str, Any],
    pixels: Pixels,
    segments: Iterator[tuple[int, Path]],
) -> Path:
    """Put the segments together while they come, cut after the last step."""
    steps = attributes["steps"]
    labels = annotation(attributes["game"], attributes["label_set"])
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
            yield from recorder.frames(columns, pixels)

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
        seeds = np.array([game_seed(attributes["seed"], games[segment]) for segment in segments_of])
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
            pixels=pixels,
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
