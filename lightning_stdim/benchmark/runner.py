"""Run a benchmark's cells: what is finished is skipped, what fails stops no other."""

from __future__ import annotations

import fcntl
import hashlib
import json
import signal
import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Literal

from rich.console import Console

from lightning_stdim.benchmark.cells import RunSpec, clear_unfinished
from lightning_stdim.benchmark.executors import Executor, LocalExecutor
from lightning_stdim.benchmark.progress import Progress
from lightning_stdim.errors import ConfigurationError, StoreError
from lightning_stdim.presets import preset_path, read_preset
from lightning_stdim.runs.results import Results, is_complete, read_results
from lightning_stdim.utils.files import atomically
from lightning_stdim.utils.log_tail import last_words

RECORD = "benchmark.json"
POLL_SECONDS = 0.1
ERROR_LINES = 30


def run_cells(
    cells: Sequence[RunSpec],
    *,
    preset: str = "laptop",
    out: str | Path = "runs/laptop",
    root: str | Path = "data",
    jobs: int = 1,
    console: Console | None = None,
    executor: Callable[[int, IO[str]], Executor] = LocalExecutor,
) -> int:
    """Run every cell that has no results yet.

    A cell's run is ``out/<game>/<method>/seed<seed>/``; what it printed is beside that in
    ``seed<seed>.log``. One that fails leaves ``seed<seed>.error.txt`` and the others go on; the
    same call again skips what is finished, resumes what has a checkpoint and tries again what
    failed. Cells may be added later; the preset may not change within one directory, since then
    its numbers could not be compared.

    Args:
        cells: which ones, in this order.
        preset: a shipped one's name or a YAML file.
        out: the benchmark's directory.
        root: folder of the collections.
        jobs: how many runs at a time.
        console: where to show progress; standard output by default.
        executor: makes what executes the runs, from ``jobs`` and the directory's lock.

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
    preset_path(preset)  # a wrong name should not wait for the first run
    running: set[RunSpec] = set()
    failed: list[RunSpec] = []
    with (
        _claim(out, preset) as lock,
        _terminated_as_interrupted(),
        Progress(cells, console, jobs=jobs) as progress,
    ):
        waiting: list[RunSpec] = []
        for cell in cells:
            if is_complete(cell.folder(out)):
                _done(cell, out, progress, "was done")
            else:
                waiting.append(cell)
        runs = executor(jobs, lock)
        try:
            while waiting or running:
                while len(running) < jobs and (ready := _next(waiting, running)):
                    cell = ready
                    waiting.remove(cell)
                    if cell.source and not is_complete(cell.source.folder(out)):
                        _fail(cell, f"no encoder: {cell.source} failed", out, progress)
                        failed.append(cell)
                        continue
                    clear_unfinished(cell.folder(out))
                    progress.change(cell, "running")
                    words = cell.arguments(preset=preset, root=root, out=out)
                    runs.start(cell, words, _log(cell, out))
                    running.add(cell)
                time.sleep(POLL_SECONDS)
                for cell, status in runs.finished():
                    running.remove(cell)
                    if not _finish(cell, status, out, progress):
                        failed.append(cell)
                for cell in running:
                    progress.say(cell, runs.words(cell))
        except KeyboardInterrupt:
            left = len(waiting) + len(running)
            console.print(f"interrupted with {left} of {len(cells)} runs to go; ", end="")
            console.print("the same command goes on where this one stopped")
            return 130
        finally:
            runs.end()
    for cell in failed:
        console.print(f"{cell} failed: {_error(cell, out)}", markup=False, soft_wrap=True)
    return 1 if failed else 0


@contextmanager
def _terminated_as_interrupted() -> Iterator[None]:
    """Have a termination, such as a scheduler's at its time limit, end the runs like a Ctrl-C."""
    if threading.current_thread() is not threading.main_thread():  # which alone gets signals
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _next(waiting: Sequence[RunSpec], running: Collection[RunSpec]) -> RunSpec | None:
    """Find the first cell whose encoder, if it is another cell's, is not still to come."""
    for cell in waiting:
        if cell.source is None or not (cell.source in running or cell.source in waiting):
            return cell
    return None


@contextmanager
def _claim(out: Path, preset: str) -> Iterator[IO[str]]:
    """Hold the directory for this grid alone, and for this preset.

    The runs inherit the lock: as long as one of them lives on after its benchmark was killed, no
    second process is started on the same cell.
    """
    record, old_record = _records(preset)
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
        try:
            there = json.loads(path.read_text()) if path.exists() else None
        except ValueError as error:
            raise StoreError(
                f"cannot read {path}: {error}; remove it if its preset was {preset!r}"
            ) from error
        if there in (None, old_record):
            with atomically(path) as temporary:
                temporary.write_text(json.dumps(record, indent=1) + "\n")
        elif there != record:
            of = "its present version" if there.get("preset") == preset else repr(preset)
            raise ConfigurationError(
                f"{out} holds runs of preset {there.get('preset')!r}, not {of}; "
                "choose another directory"
            )
        yield lock


def _records(preset: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Give what a directory's record says of a preset, and what one of the first schema says.

    The first had the file's bytes hashed, so that a changed comment made another preset of it.
    """
    settings = json.dumps(read_preset(preset), sort_keys=True, default=str)
    content = hashlib.sha256(preset_path(preset).read_bytes()).hexdigest()
    return (
        {
            "schema": 2,
            "preset": preset,
            "settings_sha256": hashlib.sha256(settings.encode()).hexdigest(),
        },
        {"schema": 1, "preset": preset, "preset_sha256": content},
    )


def _finish(cell: RunSpec, status: int, out: Path, progress: Progress) -> bool:
    try:
        if status == 0 and is_complete(cell.folder(out)):
            _error(cell, out).unlink(missing_ok=True)
            _done(cell, out, progress, "done")
            return True
        reason = f"exit status {status}, no results" if status >= 0 else f"signal {-status}"
    except StoreError as problem:
        reason = str(problem)
    _fail(cell, reason, out, progress)
    return False


def _fail(cell: RunSpec, reason: str, out: Path, progress: Progress) -> None:
    log = _log(cell, out)
    tail = log.read_text(errors="replace").splitlines()[-ERROR_LINES:] if log.exists() else []
    error = _error(cell, out)
    error.parent.mkdir(parents=True, exist_ok=True)
    said = ["The end of what it printed:", "", *tail, ""] if tail else [""]
    error.write_text("\n".join([f"{cell}: {reason}. {said[0]}".rstrip(), *said[1:]]))
    progress.change(cell, "failed", (last_words(log) if tail else "") or reason)


def _done(cell: RunSpec, out: Path, progress: Progress, state: Literal["done", "was done"]) -> None:
    results = read_results(cell.folder(out))
    progress.change(cell, state, _headline(results), seconds=results["budget"].get("seconds"))


def _log(cell: RunSpec, out: Path) -> Path:
    return cell.folder(out).with_suffix(".log")


def _error(cell: RunSpec, out: Path) -> Path:
    return cell.folder(out).with_suffix(".error.txt")


def _headline(results: Results) -> str:
    """Give the mean F1 over categories, under the protocol that does not depend on luck."""
    protocols = results["scores"]["protocols"]
    name = "converged" if "converged" in protocols else next(iter(protocols))
    mean = protocols[name]["f1"]["mean_over_categories"]
    return "" if mean is None else f"F1 {mean:.2f} ({name})"
