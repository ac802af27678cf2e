"""Long work for CPUs, item by item, at low priority, from a checkout of its own.

    python benchmarks/cpu_queue.py start --threads 2    # in the background, until all is done
    python benchmarks/cpu_queue.py status
    python benchmarks/cpu_queue.py stop                 # what is running can go on later
    python benchmarks/cpu_queue.py gather               # finished records, to results/

The items are in cpu_queue.yaml. Their commands run in a git worktree at a fixed commit, so that
developing does not disturb them, and leave everything in its folder runs/. `start` skips what is
done, goes on with what was interrupted, and tries again what failed; an item that fails stops no
other. `run` does the same in the foreground.

``make benchmarks`` leaves it out: it takes days.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from queue_items import STATE, Item, read_items
from record import script_parser

from lightning_stdim.errors import ConfigurationError, LightningStdimError
from lightning_stdim.utils.files import atomically
from lightning_stdim.utils.hardware import CORES_SHARE
from lightning_stdim.utils.locks import LockHeldError, exclusive_lock

RUNNING = STATE / "running.json"
ROOT = Path(__file__).resolve().parents[1]
GRACE_SECONDS = 120.0  # for an interrupted item to write down where it was
KEPT = {".csv", ".json", ".md", ".yaml"}
"""Suffixes of the files that are kept of a record in results/ (results/README.md)."""
LEFT_OUT = {"checkpoints", "encoder", "reconstructions", "tensorboard", "hparams.yaml"}


def check_out(folder: Path, commit: str | None) -> None:
    """Make the checkout, or move it to another commit; without one it stays where it is."""
    if not folder.exists():
        _git("worktree", "add", "--quiet", "--detach", str(folder), commit or "HEAD")
    elif commit:
        with queue_lock(folder):
            _git("-C", str(folder), "checkout", "--quiet", "--detach", commit)
    (folder / STATE).mkdir(parents=True, exist_ok=True)


def _git(*words: str) -> None:
    done = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        raise ConfigurationError(f"git {' '.join(words)}: {done.stderr.strip()}")


@contextmanager
def queue_lock(folder: Path) -> Iterator[IO[str]]:
    """Hold the checkout's lock, which items inherit, in case the queue is killed."""
    try:
        with exclusive_lock(folder / STATE / "lock") as lock:
            yield lock
    except LockHeldError as error:
        raise ConfigurationError(f"a queue is running in {folder}: {error}") from None


def is_running(folder: Path) -> bool:
    """Tell whether a queue, or an item that a killed queue left behind, is running."""
    try:
        with queue_lock(folder):
            return False
    except ConfigurationError:
        return True


def environment(folder: Path, threads: int | None) -> dict[str, str]:
    """Make the environment in which this Python runs the checkout's code.

    Raises:
        ConfigurationError: ``lightning_stdim`` would be imported from elsewhere all the same.
    """
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    env = os.environ | {"PATH": path, "PYTHONPATH": str(folder), "PYTHONUNBUFFERED": "1"}
    if threads is not None:
        env |= dict.fromkeys(("OMP_NUM_THREADS", CORES_SHARE), str(threads))
    words = ["python", "-c", "import lightning_stdim as package; print(package.__file__)"]
    found = subprocess.run(words, cwd=folder, env=env, capture_output=True, text=True)
    if not Path(found.stdout.strip() or "/").resolve().is_relative_to(folder.resolve()):
        said = (found.stdout or found.stderr).strip()
        raise ConfigurationError(f"the code would not be that of {folder}: {said}")
    return env


def work(folder: Path, items: Sequence[Item], env: dict[str, str], lock: IO[str]) -> int:
    """Work through the list.

    Returns:
        An exit status: 0 if all is done, 1 if an item has failed, 130 if interrupted.
    """
    for number in (signal.SIGINT, signal.SIGTERM):  # a shell may have had them ignored
        signal.signal(number, signal.default_int_handler)
    try:
        _announce(folder, None, os.getpid())
        for item in items:
            if item.is_done(folder) or item.missing(folder):
                continue
            item.failure(folder).unlink(missing_ok=True)
            print(f"{time.strftime('%F %T')} {item.name}: {item.why}", flush=True)
            status = _execute(item, folder, env, lock)
            if status or not item.is_done(folder):
                item.failure(folder).write_text(str(status), "utf-8")
            said = item.state(folder, running=False)
            print(f"{time.strftime('%F %T')} {item.name}: {said}", flush=True)
    except KeyboardInterrupt:
        return 130
    return 1 if any(item.failure(folder).exists() for item in items) else 0


def _execute(item: Item, folder: Path, env: dict[str, str], lock: IO[str]) -> int:
    """Run an item to its end, and return its exit status; interrupt it if the queue is."""
    command = item.prepare(folder)
    with item.log(folder).open("a") as output:
        print(f"$ {command}", file=output, flush=True)
        process = subprocess.Popen(
            f"exec {command}",  # instead of the shell, which would not wait for it
            shell=True,
            cwd=folder,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            pass_fds=[lock.fileno()],
            start_new_session=True,
            preexec_fn=_lower_priority,
        )
    try:
        _announce(folder, item.name, os.getpid(), process.pid)
        return process.wait()
    except KeyboardInterrupt:
        _set_autogroup(process.pid, 0)  # on busy cores it might not get to its end in time
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGINT)
        try:
            process.wait(GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
        raise


def _lower_priority() -> None:
    os.nice(19)
    _set_autogroup(os.getpid(), 19)


def _set_autogroup(pid: int, nice: int) -> None:
    """Set the priority of a process's session: on Linux ``nice`` counts only within a session."""
    with suppress(OSError):
        Path(f"/proc/{pid}/autogroup").write_text(str(nice))


def _announced(folder: Path) -> dict[str, Any]:
    """Read which item is running, and the queue's and its process."""
    found: dict[str, Any] = json.loads((folder / RUNNING).read_text("utf-8"))
    return found


def _announce(folder: Path, item: str | None, *pids: int) -> None:
    with atomically(folder / RUNNING) as file:
        file.write_text(json.dumps({"item": item, "pids": pids}), "utf-8")


def run(folder: Path, items: Sequence[Item], threads: int | None, *, background: bool) -> int:
    """Work through the list, here or in the background, in a session of its own."""
    env = environment(folder, threads)
    with queue_lock(folder) as lock:
        if background:
            log = folder / STATE / "queue.log"
            (folder / RUNNING).unlink(missing_ok=True)
            if child := os.fork():
                while not (folder / RUNNING).exists() and os.waitpid(child, os.WNOHANG) == (0, 0):
                    time.sleep(0.02)
                print(f"started in {folder}; log: {log}")
                return 0
            os.setsid()
            with log.open("ab") as output, open(os.devnull) as nothing:
                for stream, file in ((0, nothing), (1, output), (2, output)):
                    os.dup2(file.fileno(), stream)
        return work(folder, items, env, lock)


def stop(folder: Path) -> int:
    """Interrupt what is running as a Ctrl-C would, and wait until it has stopped."""
    if not is_running(folder):
        print(f"no queue is running in {folder}")
        return 0
    pids = _announced(folder)["pids"]
    try:
        os.kill(pids[0], signal.SIGINT)
    except ProcessLookupError:  # the queue was killed, and its item goes on
        os.killpg(pids[-1], signal.SIGINT)
    end = time.monotonic() + GRACE_SECONDS + 10
    while is_running(folder):
        if time.monotonic() > end:
            raise ConfigurationError(f"process {pids[-1]} does not stop; end it yourself")
        time.sleep(0.1)
    print("stopped; `start` goes on")
    return 0


def status(folder: Path, items: Sequence[Item]) -> int:
    """Print how far every item is."""
    current = _announced(folder)["item"] if is_running(folder) else None
    for item in items:
        print(f"{item.name:<24} {item.state(folder, running=item.name == current)}")
    return 0


def gather(folder: Path, items: Sequence[Item]) -> int:
    """Copy the records of finished items to results/, without those of unfinished runs."""
    done = [file for item in items if item.is_done(folder) for file in item.done]
    for name in dict.fromkeys(Path(file).relative_to("runs").parts[0] for file in done):
        for path, folders, files in os.walk(folder / "runs" / name):
            if "config.yaml" in files and "results.json" not in files:
                folders.clear()
                continue
            folders[:] = sorted(set(folders) - LEFT_OUT)
            there = ROOT / "results" / Path(path).relative_to(folder / "runs")
            for file in sorted(set(files) - LEFT_OUT):
                if Path(file).suffix in KEPT or file == "curve.png":
                    there.mkdir(parents=True, exist_ok=True)
                    shutil.copy2(Path(path, file), there / file)
        print(f"results/{name}")
    return 0


def main() -> int:
    parser = script_parser(__doc__)
    actions = ("start", "run", "status", "stop", "gather")
    parser.add_argument("action", choices=actions, help="what to do")
    folder = ROOT.with_name(f"{ROOT.name}-queue")
    parser.add_argument("--folder", type=Path, default=folder, help="the checkout; %(default)s")
    parser.add_argument("--commit", help="commit of the checkout; HEAD when it is made")
    parser.add_argument("--threads", type=int, help="threads that an item may use; all by default")
    listed = Path(__file__).with_suffix(".yaml")
    parser.add_argument("--list", type=Path, default=listed, help="the list; %(default)s")
    arguments = parser.parse_args()
    folder = arguments.folder.absolute()
    try:
        if arguments.action in ("start", "run"):
            check_out(folder, arguments.commit)
        elif not (folder / STATE).is_dir():
            raise ConfigurationError(f"there is no queue in {folder}; start one, or name --folder")
        if arguments.action == "stop":
            return stop(folder)
        items = read_items(arguments.list)
        if arguments.action in ("start", "run"):
            background = arguments.action == "start"
            return run(folder, items, arguments.threads, background=background)
        return {"status": status, "gather": gather}[arguments.action](folder, items)
    except LightningStdimError as error:
        parser.error(str(error))


if __name__ == "__main__":
    sys.exit(main())
