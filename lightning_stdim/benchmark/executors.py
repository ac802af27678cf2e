"""Executing a benchmark's runs on this machine, each in a process of its own."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Protocol

from lightning_stdim.benchmark.run_spec import RunSpec
from lightning_stdim.errors import ConfigurationError
from lightning_stdim.utils.hardware import CORES_SHARE, cores
from lightning_stdim.utils.log_tail import last_words

PROGRAM = (sys.executable, "-m", "lightning_stdim")
GRACE_SECONDS = 20.0  # for an interrupted run to write its checkpoint


class Executor(Protocol):
    """Executes runs, several at a time. The runner polls it."""

    jobs: int
    """Number of runs at a time; at least 1."""

    def start(self, run: RunSpec, argv: Sequence[str], log: Path) -> None:
        """Start a run.

        Args:
            run: the run to start; not more than ``jobs`` at a time.
            argv: the arguments of its command, after ``python -m lightning_stdim``.
            log: the file that its output is appended to.
        """

    def finished(self) -> list[tuple[RunSpec, int]]:
        """Return the runs that have ended since the last call, with their exit statuses."""

    def last_line(self, run: RunSpec) -> str:
        """Return the last line that a run has printed.

        Args:
            run: a run in progress.

        Returns:
            The line; empty if it is not known.
        """

    def end(self) -> None:
        """Interrupt all runs in progress, and wait for them to stop."""


class LocalExecutor:
    """Executes runs on this machine, or wherever a launcher takes them.

    If there are several at a time, each has its share of the cores (for the processes that collect,
    and as ``OMP_NUM_THREADS``, unless that is set already) and one GPU, in turn
    (``CUDA_VISIBLE_DEVICES``). A launcher, such as Slurm's ``srun --gpus 1 --cpus-per-task 8``, has
    to divide them itself.

    Args:
        jobs: number of runs at a time.
        lock: an open file that the runs inherit. A lock on it lasts as long as one of them lives,
            even after the benchmark was killed.
        launcher: a command with its options, put in front of every run's command.
        program: what comes between the launcher and a run's arguments.

    Raises:
        ConfigurationError: there is no such launcher.
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
        if launcher and shutil.which(launcher[0]) is None:
            raise ConfigurationError(
                f"launcher {launcher[0]!r} is not a command here: check its name and your PATH"
            )
        self.program = [*launcher, *program]
        # A launcher's machines have other cores and devices than this one.
        self.shares = [{}] * jobs if launcher else shares(jobs)
        self.running: dict[RunSpec, tuple[int, subprocess.Popen[bytes], Path]] = {}

    def start(self, run: RunSpec, argv: Sequence[str], log: Path) -> None:
        """Start a run.

        Args:
            run: the run to start.
            argv: the arguments of its command, after ``python -m lightning_stdim``.
            log: the file that its output is appended to.
        """
        taken = {slot for slot, _, _ in self.running.values()}
        slot = next(k for k in range(self.jobs) if k not in taken)
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as output:
            process = subprocess.Popen(
                [*self.program, *argv],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, "PYTHONUNBUFFERED": "1", **self.shares[slot]},
                pass_fds=[self.lock.fileno()],
                # A Ctrl-C reaches it once, through us, with its workers. It stays in our session,
                # whose priority holds for it (Linux groups processes by session).
                process_group=0,
            )
        self.running[run] = slot, process, log

    def finished(self) -> list[tuple[RunSpec, int]]:
        """Return the runs that have ended since the last call, with their exit statuses."""
        polled = {run: process.poll() for run, (_, process, _) in self.running.items()}
        ended = [(run, status) for run, status in polled.items() if status is not None]
        for run, _ in ended:
            del self.running[run]
        return ended

    def last_line(self, run: RunSpec) -> str:
        """Return the last line that a run has printed.

        Args:
            run: a run in progress.

        Returns:
            The line; empty if there is none.
        """
        return last_words(self.running[run][2])

    def end(self) -> None:
        """Interrupt all runs in progress as a Ctrl-C would; kill those that do not stop in time."""
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
        jobs: number of runs at a time.

    Returns:
        For each of them the environment variables to set; none if there is only one run.
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
    """List the GPUs without importing PyTorch, which would take longer than starting a run."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return [name for name in visible.split(",") if name]
    # One file per GPU: nvidia0, nvidia1, ...
    numbers = (path.name.removeprefix("nvidia") for path in Path("/dev").glob("nvidia[0-9]*"))
    return [str(number) for number, _ in enumerate(numbers)]
