"""Where a benchmark's runs are executed: on this machine, every cell a process of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Protocol

from lightning_stdim.benchmark.cells import RunSpec
from lightning_stdim.utils.hardware import CORES_SHARE, cores
from lightning_stdim.utils.log_tail import last_words

PROGRAM = (sys.executable, "-m", "lightning_stdim")
GRACE_SECONDS = 20.0  # for an interrupted run to write its checkpoint


class Executor(Protocol):
    """Executes runs, several at a time; the runner asks it again and again what has ended."""

    jobs: int
    """How many runs at a time; at least 1."""

    def start(self, cell: RunSpec, words: Sequence[str], log: Path) -> None:
        """Begin a run.

        Args:
            cell: which one; not more than ``jobs`` at a time.
            words: its command, after ``python -m lightning_stdim``.
            log: the file that what it prints is appended to.
        """

    def finished(self) -> list[tuple[RunSpec, int]]:
        """Give the runs that have ended since the last call, with their exit statuses."""

    def words(self, cell: RunSpec) -> str:
        """Give the last line that a run has printed.

        Args:
            cell: a running one.

        Returns:
            The line; empty if it is not known.
        """

    def end(self) -> None:
        """Interrupt what still runs, and wait for it to stop."""


class LocalExecutor:
    """Runs on this machine, or wherever a launcher in front of their command takes them.

    With several at a time each has its share of the cores (for the processes that collect, and as
    ``OMP_NUM_THREADS``, unless that is set already) and one GPU, in turn
    (``CUDA_VISIBLE_DEVICES``). With a launcher, such as Slurm's
    ``srun --gpus 1 --cpus-per-task 8``, that is the launcher's business.

    Args:
        jobs: how many runs at a time.
        lock: an open file that the runs inherit: as long as one of them lives on after its
            benchmark was killed, whoever wants to lock it can see that.
        launcher: words in front of every command.
        program: the words between launcher and command.
    """

    def __init__(
        self,
        jobs: int,
        lock: IO[str],
        *,
        launcher: Sequence[str] = (),
        program: Sequence[str] = PROGRAM,
    ) -> None:
        self.jobs = jobs
        self.lock = lock
        self.program = [*launcher, *program]
        # A launcher's machines have other cores and devices than this one.
        self.shares = [{}] * jobs if launcher else shares(jobs)
        self.running: dict[RunSpec, tuple[int, subprocess.Popen[bytes], Path]] = {}

    def start(self, cell: RunSpec, words: Sequence[str], log: Path) -> None:
        """Begin a run.

        Args:
            cell: which one.
            words: its command.
            log: the file that what it prints is appended to.
        """
        taken = {slot for slot, _, _ in self.running.values()}
        slot = next(k for k in range(self.jobs) if k not in taken)
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as output:
            process = subprocess.Popen(
                [*self.program, *words],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, "PYTHONUNBUFFERED": "1", **self.shares[slot]},
                pass_fds=[self.lock.fileno()],
                start_new_session=True,  # a Ctrl-C reaches it once, through us, with its workers
            )
        self.running[cell] = slot, process, log

    def finished(self) -> list[tuple[RunSpec, int]]:
        """Give the runs that have ended since the last call, with their exit statuses."""
        polled = {cell: process.poll() for cell, (_, process, _) in self.running.items()}
        ended = [(cell, status) for cell, status in polled.items() if status is not None]
        for cell, _ in ended:
            del self.running[cell]
        return ended

    def words(self, cell: RunSpec) -> str:
        """Give the last line that a run has printed.

        Args:
            cell: a running one.

        Returns:
            The line; empty if there is none.
        """
        return last_words(self.running[cell][2])

    def end(self) -> None:
        """Interrupt what still runs, as a Ctrl-C would; kill what does not stop in time."""
        alive = [process for _, process, _ in self.running.values() if process.poll() is None]
        for process in alive:
            os.killpg(process.pid, signal.SIGINT)
        deadline = time.monotonic() + GRACE_SECONDS
        for process in alive:
            try:
                process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def shares(jobs: int) -> list[dict[str, str]]:
    """Divide this machine's cores and GPUs between runs.

    Args:
        jobs: how many run at a time.

    Returns:
        For each of them what to set in its environment; nothing if there is only one.
    """
    if jobs == 1:
        return [{}]
    share = str(max(1, cores() // jobs))
    threads = {
        CORES_SHARE: share,
        "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", share),
    }
    devices = _devices()
    if not devices:
        return [threads] * jobs
    return [threads | {"CUDA_VISIBLE_DEVICES": devices[k % len(devices)]} for k in range(jobs)]


def _devices() -> list[str]:
    """Name the GPUs without importing PyTorch, which takes longer than starting a run."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return [name for name in visible.split(",") if name]
    # One file per GPU: nvidia0, nvidia1, ...
    numbers = (path.name.removeprefix("nvidia") for path in Path("/dev").glob("nvidia[0-9]*"))
    return [str(number) for number, _ in enumerate(numbers)]
