"""Running a benchmark: finished runs are skipped, and a run that fails stops no other."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Literal

from rich.console import Console

from lightning_stdim.benchmark.executors import Executor, LocalExecutor
from lightning_stdim.benchmark.progress import Progress
from lightning_stdim.benchmark.run_spec import RunSpec, clear_unfinished, is_file
from lightning_stdim.errors import ConfigurationError, StoreError
from lightning_stdim.presets import preset_path
from lightning_stdim.runs.grid_record import GridRecord
from lightning_stdim.runs.key import RunKey
from lightning_stdim.runs.results import FILE, Results, is_complete, read_results
from lightning_stdim.runs.snapshots import snapshot_steps
from lightning_stdim.utils.counted import counted
from lightning_stdim.utils.locks import LockHeldError, exclusive_lock
from lightning_stdim.utils.log_tail import last_words
from lightning_stdim.utils.signals import terminated_as_interrupted

POLL_SECONDS = 0.1
ERROR_LINES = 30


def run_grid(
    specs: Sequence[RunSpec],
    *,
    preset: str = "laptop",
    out: str | Path = "runs/laptop",
    root: str | Path = "data",
    snapshots: str = "",
    jobs: int = 1,
    console: Console | None = None,
    executor: Callable[[int, IO[str]], Executor] = LocalExecutor,
    check: Callable[[Sequence[RunSpec]], None] | None = None,
) -> int:
    """Make every run that has no results yet.

    A run's directory is ``out/<game>/<method>/seed<seed>/``; what it printed is beside that in
    ``seed<seed>.log``. A run that fails leaves ``seed<seed>.error.txt``, and the others go on. The
    same call again skips runs that have finished, resumes those that have a checkpoint and repeats
    those that failed. Runs can be added later. The preset cannot change within one directory, since
    the numbers could not be compared. A finished run that lacks a protocol which is asked for now
    is named at the end, and not probed again.

    Args:
        specs: the runs, in the order in which they are started.
        preset: name of a shipped preset, or a YAML file.
        out: the benchmark's directory.
        root: folder of the collections.
        snapshots: as for :meth:`RunSpec.arguments`.
        jobs: number of runs at a time.
        console: where to show progress; standard output by default.
        executor: makes the executor of the runs, from ``jobs`` and the directory's lock.
        check: called with the runs that are still to be made, before the first one starts.

    Returns:
        An exit status: 0 if every run has results, 1 if some failed, 130 if interrupted.

    Raises:
        ConfigurationError: an argument is wrong, or the directory belongs to another preset, holds
            results of another run in the place of one of these, or is in use.
        StoreError: the directory cannot be written, or has a results file of another schema.
    """
    console = console or Console()
    out = Path(out)
    if jobs < 1:
        raise ConfigurationError(f"jobs is {jobs}; at least one run at a time is needed")
    preset_path(preset)  # a wrong name should not wait for the first run
    snapshot_steps(snapshots)
    running: set[RunSpec] = set()
    failed: list[RunSpec] = []
    lacking: dict[RunSpec, list[str]] = {}
    with (
        terminated_as_interrupted(),
        _claim(specs, out, preset, check) as lock,
        Progress(specs, console, jobs=jobs) as progress,
    ):
        waiting: list[RunSpec] = []
        for run in specs:
            if is_complete(run.folder(out)):
                _check_key(run, out)
                _done(run, out, progress, "was done")
                protocols = read_results(run.folder(out))["scores"]["protocols"]
                if missing := run.protocols_missing_in(protocols):
                    lacking[run] = missing
            else:
                waiting.append(run)
        executing = executor(jobs, lock)
        try:
            while waiting or running:
                while len(running) < jobs and (ready := _next(waiting, running)):
                    run = ready
                    waiting.remove(run)
                    source = run.source
                    if source and not is_complete(source.folder(out)):
                        _fail(run, f"no encoder: {source} failed", out, progress)
                        failed.append(run)
                        continue
                    clear_unfinished(run.folder(out))
                    progress.change(run, "running")
                    argv = run.arguments(preset=preset, root=root, out=out, snapshots=snapshots)
                    executing.start(run, argv, _log(run, out))
                    running.add(run)
                time.sleep(POLL_SECONDS)
                for run, status in executing.finished():
                    running.remove(run)
                    if not _finish(run, status, out, progress):
                        failed.append(run)
                for run in running:
                    progress.say(run, executing.last_line(run))
        except KeyboardInterrupt:
            left = len(waiting) + len(running)
            console.print(
                f"interrupted with {left} of {counted(len(specs), 'run')} to go; ", end=""
            )
            console.print("the same command goes on where this one stopped")
            return 130
        finally:
            executing.end()
    if lacking:
        console.print(
            "These runs had finished without a protocol that is asked for now, and have no scores "
            "for it. To have them, remove a run's directory and give the same command again, which "
            "also trains it again; or score its encoder alone, with the command probe and "
            "--protocols, into a directory outside of this one:",
            soft_wrap=True,
        )
    for run, missing in lacking.items():
        line = f"{run.folder(out)}: no {', '.join(missing)}"
        console.print(line, markup=False, soft_wrap=True)
    for run in failed:
        console.print(f"{run} failed: {_error(run, out)}", markup=False, soft_wrap=True)
    return 1 if failed else 0


def _next(waiting: Sequence[RunSpec], running: Collection[RunSpec]) -> RunSpec | None:
    """Find the first run that does not have to wait for another run's encoder."""
    to_come = {*waiting, *running}
    return next((run for run in waiting if run.source not in to_come), None)


@contextmanager
def _claim(
    specs: Sequence[RunSpec],
    out: Path,
    preset: str,
    check: Callable[[Sequence[RunSpec]], None] | None,
) -> Iterator[IO[str]]:
    """Lock the directory for this grid, and check and record its preset and methods.

    The runs inherit the lock. So as long as one of them lives on after its benchmark was killed, no
    second process is started for the same run.
    """
    files = {run.key.method: run.method for run in specs if is_file(run.method)}
    record = GridRecord.of(preset, files)
    with ExitStack() as held:
        try:
            out.mkdir(parents=True, exist_ok=True)
            lock = held.enter_context(exclusive_lock(out / ".lock"))
        except LockHeldError as error:
            raise ConfigurationError(
                f"{out} is in use by another benchmark, or by a run that a killed one left behind; "
                f"{error}"
            ) from None
        except OSError as error:
            raise StoreError(f"cannot write to {out}: {error}; choose another directory") from error
        if there := GridRecord.read(out):
            _check_settings(there, record, out)
        if check:
            check([run for run in specs if not is_complete(run.folder(out))])
        record.write(out)
        yield lock


def _check_settings(there: GridRecord, record: GridRecord, out: Path) -> None:
    """Refuse a directory whose results were made with other settings."""
    if not there.has_preset_of(record):
        of = "its present version" if there.preset == record.preset else repr(record.preset)
        raise ConfigurationError(
            f"{out} holds runs of preset {there.preset!r}, not {of}; choose another directory"
        )
    changed = set(there.changed_methods(record))
    for path in sorted(out.rglob(FILE)) if changed else ():
        if (name := RunKey.of_record(read_results(path)).method) in changed:
            raise ConfigurationError(
                f"{path} was made with {there.files[name]} as it was then, which is not what "
                f"{record.files[name]} says now; give the file another name, or choose another "
                "directory"
            )


def _check_key(run: RunSpec, out: Path) -> None:
    """Refuse a directory that has the results of another run, such as another agent's.

    Old results without a key are not checked. Nor are runs that have the preset's settings: if
    these ask for other frames than the protocol's, ``fit`` adds that to the key that it writes.
    """
    results, wanted = read_results(run.folder(out)), run.key
    if "key" not in results or not (wanted.options or wanted.source):
        return
    there = RunKey.from_dict(results["key"])
    if there != wanted:
        raise ConfigurationError(
            f"{run.folder(out)} holds the results of another run: {_full(there)}, not "
            f"{_full(wanted)}; name it as before, give a file another name, or choose another "
            "directory"
        )


def _full(key: RunKey) -> str:
    """Describe a key with the whole paths that its variant shortens."""
    options = ", ".join(f"{name} {value}" for name, value in key.options)
    words = f"{key.method} on {key.game} with {options or 'the settings of the preset'}"
    return f"{words}, and the encoder of {_full(key.source)}" if key.source else words


def _finish(run: RunSpec, status: int, out: Path, progress: Progress) -> bool:
    try:
        if status == 0 and is_complete(run.folder(out)):
            _error(run, out).unlink(missing_ok=True)
            _done(run, out, progress, "done")
            return True
        reason = f"exit status {status}, no results" if status >= 0 else f"signal {-status}"
    except StoreError as problem:
        reason = str(problem)
    _fail(run, reason, out, progress)
    return False


def _fail(run: RunSpec, reason: str, out: Path, progress: Progress) -> None:
    log = _log(run, out)
    tail = (
        log.read_text("utf-8", errors="replace").splitlines()[-ERROR_LINES:] if log.exists() else []
    )
    error = _error(run, out)
    error.parent.mkdir(parents=True, exist_ok=True)
    said = ["The end of what it printed:", "", *tail, ""] if tail else [""]
    error.write_text("\n".join([f"{run}: {reason}. {said[0]}".rstrip(), *said[1:]]), "utf-8")
    progress.change(run, "failed", (last_words(log) if tail else "") or reason)


def _done(run: RunSpec, out: Path, progress: Progress, state: Literal["done", "was done"]) -> None:
    results = read_results(run.folder(out))
    progress.change(run, state, _headline(results), seconds=results["budget"].get("seconds"))


def _log(run: RunSpec, out: Path) -> Path:
    return run.folder(out).with_suffix(".log")


def _error(run: RunSpec, out: Path) -> Path:
    return run.folder(out).with_suffix(".error.txt")


def _headline(results: Results) -> str:
    """Write the mean F1 over categories, under the converged protocol if that was evaluated."""
    protocols = results["scores"]["protocols"]
    name = "converged" if "converged" in protocols else next(iter(protocols))
    mean = protocols[name]["f1"]["mean_over_categories"]
    return "" if mean is None else f"F1 {mean:.2f} ({name})"
