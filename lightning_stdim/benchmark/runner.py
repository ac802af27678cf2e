"""Run the grid of games, methods and seeds, every cell a process of its own."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from rich.console import Console

from lightning_stdim.benchmark.cells import (
    METHODS,
    Cell,
    check_method,
    clear_unfinished,
)
from lightning_stdim.benchmark.progress import Progress, last_words
from lightning_stdim.benchmark.results import Results, is_complete, read_results
from lightning_stdim.datamodules.labels import canonical_game
from lightning_stdim.errors import ConfigurationError, StoreError
from lightning_stdim.files import atomically
from lightning_stdim.presets import preset_path

RECORD = "benchmark.json"
PROGRAM = (sys.executable, "-m", "lightning_stdim")
POLL_SECONDS = 0.1
GRACE_SECONDS = 20.0  # for an interrupted run to write its checkpoint
ERROR_LINES = 30


def run_grid(
    *,
    games: Sequence[str] = ("pong",),
    methods: Sequence[str] = METHODS,
    seeds: Sequence[int] = (0,),
    preset: str = "laptop",
    out: str | Path = "runs/laptop",
    root: str | Path = "data",
    jobs: int = 1,
    console: Console | None = None,
    program: Sequence[str] = PROGRAM,
) -> int:
    """Run every cell that has no results yet.

    A cell's run is ``out/<game>/<method>/seed<seed>/``; what it printed is beside that in
    ``seed<seed>.log``. One that fails leaves ``seed<seed>.error.txt`` and the others go on; the
    same call again skips what is finished, resumes what has a checkpoint and tries again what
    failed. Games, methods and seeds may be added later; the preset may not change within one
    directory, since then its numbers could not be compared.

    Args:
        games: any spelling that is understood elsewhere.
        methods: ``"majority"``, names from ``presets.method_names``, classes of methods such as
            ``"my_module.MyMethod"``, or YAML files with options of ``fit``.
        seeds: at least one, none negative.
        preset: a shipped one's name or a YAML file.
        out: the benchmark's directory.
        root: folder of the collections.
        jobs: how many runs at a time.
        console: where to show progress; standard output by default.
        program: the command in front of every run's arguments.

    Returns:
        An exit status: 0 if every cell has results, 1 if some failed, 130 if interrupted.

    Raises:
        ConfigurationError: an argument is wrong, or the directory belongs to another preset or is
            in use.
        StoreError: the directory cannot be written, or holds a results file of another schema.
    """
    console = console or Console()
    out = Path(out)
    if jobs < 1:
        raise ConfigurationError(f"jobs is {jobs}; at least one run at a time is needed")
    cells = _cells(games, methods, seeds)
    preset_path(preset)  # a wrong name should not wait for the first run
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    running: dict[Cell, subprocess.Popen[bytes]] = {}
    failed: list[Cell] = []
    with _claim(out, preset) as lock, Progress(cells, console) as progress:
        waiting = deque[Cell]()
        for cell in cells:
            if is_complete(cell.folder(out)):
                progress.change(cell, "was done", _headline(read_results(cell.folder(out))))
            else:
                waiting.append(cell)
        try:
            while waiting or running:
                while waiting and len(running) < jobs:
                    cell = waiting.popleft()
                    clear_unfinished(cell.folder(out))
                    words = [*program, *cell.arguments(preset=preset, root=root, out=out)]
                    progress.change(cell, "running")
                    running[cell] = _start(words, _log(cell, out), lock, environment)
                time.sleep(POLL_SECONDS)
                for cell, process in list(running.items()):
                    progress.say(cell, last_words(_log(cell, out)))
                    if process.poll() is not None:
                        del running[cell]
                        if not _finish(cell, process.returncode, out, progress):
                            failed.append(cell)
        except KeyboardInterrupt:
            left = len(waiting) + len(running)
            console.print(f"interrupted with {left} of {len(cells)} runs to go; ", end="")
            console.print("the same command goes on where this one stopped")
            return 130
        finally:
            _end(list(running.values()))
    for cell in failed:
        console.print(f"{cell} failed: {_error(cell, out)}", markup=False, soft_wrap=True)
    return 1 if failed else 0


def _cells(games: Sequence[str], methods: Sequence[str], seeds: Sequence[int]) -> list[Cell]:
    for name, values in {"games": games, "methods": methods, "seeds": seeds}.items():
        if not values:
            raise ConfigurationError(f"no {name} given; at least one is needed")
    if min(seeds) < 0:
        raise ConfigurationError(f"seed {min(seeds)} is negative; seeds are 0 or more")
    # Seeds before methods: every seed completes a table before the next one begins.
    cells = (
        Cell(canonical_game(game), check_method(method), seed)
        for game in games
        for seed in seeds
        for method in methods
    )
    return list(dict.fromkeys(cells))


@contextmanager
def _claim(out: Path, preset: str) -> Iterator[IO[str]]:
    """Hold the directory for this grid alone, and for this preset.

    The runs inherit the lock: as long as one of them lives on after its benchmark was killed, no
    second process is started on the same cell.
    """
    content = hashlib.sha256(preset_path(preset).read_bytes()).hexdigest()
    record = {"schema": 1, "preset": preset, "preset_sha256": content}
    try:
        out.mkdir(parents=True, exist_ok=True)
        lock = (out / ".lock").open("w")
    except OSError as error:
        raise StoreError(f"cannot write to {out}: {error}; choose another directory") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConfigurationError(
                f"{out} is in use by another benchmark, or by a run that a killed one left behind; "
                "wait for it or end it"
            ) from None
        path = out / RECORD
        if not path.exists():
            with atomically(path) as temporary:
                temporary.write_text(json.dumps(record, indent=1) + "\n")
        try:
            there = json.loads(path.read_text())
        except ValueError as error:
            raise StoreError(
                f"cannot read {path}: {error}; remove it if its preset was {preset!r}"
            ) from error
        if there != record:
            of = "its present version" if there.get("preset") == preset else repr(preset)
            raise ConfigurationError(
                f"{out} holds runs of preset {there.get('preset')!r}, not {of}; "
                "choose another directory"
            )
        yield lock


def _start(
    words: Sequence[str], log: Path, lock: IO[str], environment: dict[str, str]
) -> subprocess.Popen[bytes]:
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        return subprocess.Popen(
            words,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environment,
            pass_fds=[lock.fileno()],
            start_new_session=True,  # a Ctrl-C reaches it once, through us, with its workers
        )


def _finish(cell: Cell, status: int, out: Path, progress: Progress) -> bool:
    error = _error(cell, out)
    try:
        if status == 0 and is_complete(cell.folder(out)):
            error.unlink(missing_ok=True)
            progress.change(cell, "done", _headline(read_results(cell.folder(out))))
            return True
        reason = f"exit status {status}, no results" if status >= 0 else f"signal {-status}"
    except StoreError as problem:
        reason = str(problem)
    tail = _log(cell, out).read_text(errors="replace").splitlines()[-ERROR_LINES:]
    error.write_text("\n".join([f"{cell}: {reason}. The end of what it printed:", "", *tail, ""]))
    progress.change(cell, "failed", last_words(_log(cell, out)) or reason)
    return False


def _end(processes: Sequence[subprocess.Popen[bytes]]) -> None:
    """Interrupt what is still running, as a Ctrl-C would; kill what does not stop in time."""
    alive = [process for process in processes if process.poll() is None]
    for process in alive:
        os.killpg(process.pid, signal.SIGINT)
    deadline = time.monotonic() + GRACE_SECONDS
    for process in alive:
        try:
            process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _log(cell: Cell, out: Path) -> Path:
    return cell.folder(out).with_suffix(".log")


def _error(cell: Cell, out: Path) -> Path:
    return cell.folder(out).with_suffix(".error.txt")


def _headline(results: Results) -> str:
    """Give the mean F1 over categories, under the protocol that does not depend on luck."""
    protocols = results["scores"]["protocols"]
    name = "converged" if "converged" in protocols else next(iter(protocols))
    mean = protocols[name]["f1"]["mean_over_categories"]
    return "" if mean is None else f"F1 {mean:.2f} ({name})"
