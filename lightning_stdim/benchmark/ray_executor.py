"""A benchmark's runs on a Ray cluster.

A node needs this package and Ray, nothing else: no shared file system, no data. What a run reads
goes to its node with it, and its directory comes back.
"""

from __future__ import annotations

import io
import os
import shutil
import signal
import socket
import subprocess
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, Any

from lightning_stdim.benchmark.cells import Cell
from lightning_stdim.benchmark.executors import GRACE_SECONDS, PROGRAM
from lightning_stdim.errors import ConfigurationError

DATA = ("--root", "--data.root")
INPUTS = ("--config", "--preset", "--encoder", "--policy", "--data.policy")
"""Options whose values may be files, or folders, that a run reads."""
OUT = "--out"
FOREIGN = "inputs"
"""Where files from outside the caller's directory lie in a run's."""


class RayExecutor:
    """Runs as tasks of a Ray cluster, each with its share of CPUs and GPUs.

    A run whose node or worker dies is started again, elsewhere if need be; one that fails by itself
    is not. Collections are made on each node under the caller's path of them, once, unless nodes
    share it.

    Args:
        jobs: how many tasks are handed to Ray at a time; it starts those that fit.
        lock: not used: Ray ends the tasks of a caller that is gone.
        address: of a cluster; by default the one that this machine is part of, or else a new one
            of this machine alone.
        cpus: of a run; also its number of threads.
        gpus: of a run; a fraction shares a GPU between runs.
        retries: how often a run is started again after its node or worker has died.
        program: the words in front of every command.

    Raises:
        ConfigurationError: there is no Ray here, or no cluster at the address.
    """

    def __init__(
        self,
        jobs: int,
        lock: IO[str] | None = None,
        *,
        address: str | None = None,
        cpus: float = 1.0,
        gpus: float = 0.0,
        retries: int = 3,
        program: Sequence[str] = PROGRAM,
    ) -> None:
        try:
            import ray
        except ImportError as error:
            raise ConfigurationError(
                "the executor 'ray' needs Ray: pip install lightning-stdim[ray]"
            ) from error
        self.ray = ray
        self.jobs = jobs
        self.program = tuple(program)
        if address is not None and address != "auto":
            _check_reachable(address)
        ray.init(address=address, log_to_driver=False, ignore_reinit_error=True)
        self.task = ray.remote(_run).options(
            num_cpus=cpus, num_gpus=gpus, max_retries=retries, retry_exceptions=False
        )
        self.running: dict[Any, tuple[Cell, Path, Path]] = {}

    def start(self, cell: Cell, words: Sequence[str], log: Path) -> None:
        """Hand a run to the cluster.

        Args:
            cell: which one.
            words: its command.
            log: the file that what it prints is appended to, once it has ended.
        """
        out = Path(words[list(words).index(OUT) + 1])
        order = Order.of(self.program, words)
        self.running[self.task.remote(order)] = cell, out, log

    def finished(self) -> list[tuple[Cell, int]]:
        """Give the runs that have ended since the last call, with their exit statuses.

        Their directories are in place by then.
        """
        if not self.running:
            return []
        done, _ = self.ray.wait(list(self.running), num_returns=len(self.running), timeout=0)
        return [self._take(task) for task in done]

    def _take(self, task: Any) -> tuple[Cell, int]:
        cell, out, log = self.running.pop(task)
        log.parent.mkdir(parents=True, exist_ok=True)
        try:
            status, said, folder = self.ray.get(task)
        except self.ray.exceptions.RayError as error:  # it died more often than it is retried
            status, said, folder = 1, f"{error}\n".encode(), None
        with log.open("ab") as file:
            file.write(said)
        if folder is not None:
            incoming = out.with_name(f".{out.name}.incoming")
            shutil.rmtree(incoming, ignore_errors=True)
            _unpack(folder, incoming)
            shutil.rmtree(out, ignore_errors=True)
            incoming.rename(out)
        return cell, status

    def words(self, cell: Cell) -> str:
        """Give the last line that a run has printed: what it prints comes back with it.

        Args:
            cell: a running one.

        Returns:
            Nothing.
        """
        return ""

    def end(self) -> None:
        """Interrupt what still runs, and leave the cluster."""
        for task in self.running:
            self.ray.cancel(task)
        if tasks := list(self.running):
            self.ray.wait(tasks, num_returns=len(tasks), timeout=GRACE_SECONDS)
        self.ray.shutdown()


@dataclass(frozen=True)
class Order:
    """A run as it goes to a node.

    Attributes:
        words: its command; paths in it are relative to the run's own working directory.
        files: by such a path the content of a file.
        folders: by such a path the content of a folder, as a tar archive.
        links: by such a path an absolute one that it stands for.
        out: the path of the run's directory.
        caller: the caller's directory, for modules of the user's.
    """

    words: list[str]
    files: dict[str, bytes]
    folders: dict[str, bytes]
    links: dict[str, str]
    out: str
    caller: str

    @classmethod
    def of(cls, program: Sequence[str], words: Sequence[str]) -> Order:
        """Pack a command with what it reads.

        Args:
            program: what runs it; this is on the node already.
            words: the command.

        Returns:
            The order.
        """
        order = cls([*program, *words[:1]], {}, {}, {}, "", os.getcwd())
        for option, word in pairwise(words):
            path = Path(word)
            known = option in (*DATA, *INPUTS, OUT) and (path.exists() or option not in INPUTS)
            if known and path.is_absolute():  # means nothing on another machine
                word = f"{FOREIGN}/{len(order.words)}/{path.name}"
            order.words.append(word)
            if option in DATA:
                order.links[word] = str(path.absolute())
            elif option == OUT:
                order = replace(order, out=word)
            if known and option not in DATA:
                if path.is_file():
                    order.files[word] = path.read_bytes()
                elif path.is_dir():  # of OUT: an interrupted run, with its checkpoint
                    order.folders[word] = _pack(path)
        return order


def _run(order: Order) -> tuple[int, bytes, bytes | None]:
    """Run a command on this node.

    Args:
        order: what to run.

    Returns:
        Its exit status, what it printed, and its directory as a tar archive if it succeeded.
    """
    modules = [os.getcwd(), order.caller, *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(modules), "PYTHONUNBUFFERED": "1"}
    with TemporaryDirectory(prefix="lightning-stdim-") as name:
        here = Path(name)
        for path, content in order.folders.items():
            _unpack(content, here / path)
        for path in (*order.files, *order.links):
            (here / path).parent.mkdir(parents=True, exist_ok=True)
        for path, content in order.files.items():
            (here / path).write_bytes(content)
        for path, target in order.links.items():
            Path(target).mkdir(parents=True, exist_ok=True)
            (here / path).symlink_to(target)
        with (here / ".log").open("w+b") as log:
            process = subprocess.Popen(
                order.words, cwd=here, stdout=log, stderr=subprocess.STDOUT, env=environment
            )
            try:
                status = process.wait()
            except BaseException:  # cancelled
                process.send_signal(signal.SIGINT)
                process.wait(GRACE_SECONDS)
                raise
            log.seek(0)
            return status, log.read(), _pack(here / order.out) if status == 0 else None


def _check_reachable(address: str) -> None:
    """Find out in seconds what takes Ray minutes to say."""
    host, _, port = address.rpartition("//")[2].rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=10).close()
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            f"no Ray cluster at {address} ({error}); give host:port as `ray start --head` shows it"
        ) from error


def _pack(folder: Path) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        archive.add(folder, arcname=".")
    return packed.getvalue()


def _unpack(packed: bytes, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        archive.extractall(folder, filter="data")
