"""Executing a benchmark's runs on a Ray cluster.

A node needs this package and Ray, but no shared file system and no data. What a run reads is sent
to its node with it. However the run ends, its directory comes back, unless the node dies.
"""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import signal
import socket
import subprocess
import tarfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, Any

import yaml

from lightning_stdim.benchmark.executors import GRACE_SECONDS, PROGRAM
from lightning_stdim.benchmark.run_spec import RunSpec
from lightning_stdim.errors import ConfigurationError
from lightning_stdim.utils.extras import install_extra
from lightning_stdim.utils.hardware import CORES_SHARE

DATA = ("--root", "--data.root")
SETTINGS = ("--config", "--preset")
"""Options whose values may be YAML files. These may name further files that a run reads."""
INPUTS = (*SETTINGS, "--encoder", "--policy", "--data.policy")
"""Options whose values may be files or folders that a run reads."""
OUT = "--out"
FOREIGN = "inputs"
"""The folder of a run's working directory with files from outside the caller's directory."""
POLL_SECONDS = 0.2
RETRIES = 3
"""Number of times that a run is started again after its node or worker has died."""
RETURN_SECONDS = 2 * GRACE_SECONDS
"""Time in which interrupted runs have to stop and send their directories back."""


class RayExecutor:
    """Executes runs as tasks of a Ray cluster, each with its share of CPUs and GPUs.

    A run whose node or worker dies is started again, elsewhere if need be; a run that fails by
    itself is not. Collections are made on each node once, under the caller's path of them; nodes
    that share that path share the collections.

    Args:
        jobs: number of tasks that are handed to Ray at a time. Ray starts those that fit.
        lock: not used, since Ray ends the tasks of a caller that is gone.
        address: address of a cluster; by default the cluster that this machine is part of, or else
            a new one of this machine alone.
        cpus: number of CPUs for each run, and of its threads.
        gpus: number of GPUs for each run; with a fraction, runs share a GPU.
        program: what comes before a run's arguments.

    Raises:
        ConfigurationError: Ray is not installed, or there is no cluster at the address.
    """

    def __init__(
        self,
        jobs: int,
        lock: IO[str] | None = None,
        *,
        address: str | None = None,
        cpus: float = 1.0,
        gpus: float = 0.0,
        program: Sequence[str] = PROGRAM,
    ) -> None:
        try:
            import ray
        except ImportError as error:
            raise ConfigurationError(
                f"the executor 'ray' needs Ray: {install_extra('ray')}"
            ) from error
        self.ray = ray
        self.jobs = jobs
        self.program = tuple(program)
        self.cores = max(1, int(cpus))
        if address is not None and address != "auto":
            _check_reachable(address)
        with _own_termination():
            ray.init(address=address, log_to_driver=False, ignore_reinit_error=True)
        self.task = ray.remote(_run).options(
            num_cpus=cpus, num_gpus=gpus, max_retries=RETRIES, retry_exceptions=False
        )
        self.running: dict[Any, tuple[RunSpec, Path, Path]] = {}

    def start(self, run: RunSpec, argv: Sequence[str], log: Path) -> None:
        """Hand a run to the cluster.

        Args:
            run: the run to start.
            argv: the arguments of its command, after ``python -m lightning_stdim``.
            log: the file that its output is appended to when it has ended.
        """
        order, out = Order.of(self.program, argv), Path(argv[list(argv).index(OUT) + 1])
        self.running[self.task.remote(order, self.cores)] = run, out, log

    def finished(self) -> list[tuple[RunSpec, int]]:
        """Return the runs that have ended since the last call, with their exit statuses.

        Their directories are in place by then.
        """
        if not self.running:
            return []
        done, _ = self.ray.wait(list(self.running), num_returns=len(self.running), timeout=0)
        return [self._take(task) for task in done]

    def _take(self, task: Any) -> tuple[RunSpec, int]:
        run, out, log = self.running.pop(task)
        log.parent.mkdir(parents=True, exist_ok=True)
        try:
            status, said, folder = self.ray.get(task)
        except self.ray.exceptions.TaskCancelledError:  # before it began
            return run, 1
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
        return run, status

    def last_line(self, run: RunSpec) -> str:
        """Return an empty line, since what a run prints comes back only when it has ended.

        Args:
            run: a run in progress.

        Returns:
            An empty line.
        """
        return ""

    def end(self) -> None:
        """Interrupt all runs in progress, take their directories back, and leave the cluster."""
        tasks = list(self.running)
        for task in tasks:
            self.ray.cancel(task)
        if tasks:
            done, _ = self.ray.wait(tasks, num_returns=len(tasks), timeout=RETURN_SECONDS)
            for task in done:
                self._take(task)
        self.ray.shutdown()


@dataclass
class Order:
    """A run with everything that a node needs for it.

    Attributes:
        argv: the run's command; paths in it are relative to the run's own working directory.
        caller: the caller's directory, where modules of the user's are found.
        out: the run's directory, as such a relative path.
        files: the contents of files, by relative path.
        folders: the contents of folders, as tar archives, by relative path.
        links: absolute paths that relative paths are linked to.
    """

    argv: list[str]
    caller: str
    out: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    folders: dict[str, bytes] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, program: Sequence[str], argv: Sequence[str]) -> Order:
        """Pack a command with what it reads.

        Args:
            program: the program, which is on the node already.
            argv: the arguments of the command.

        Returns:
            The order.
        """
        order = cls([*program, *argv[:1]], os.getcwd())
        for option, word in pairwise(argv):
            path = Path(word)
            if option in DATA:
                word = _there(path)
                order.links[word] = str(path.absolute())
            elif option == OUT:
                word = order.out = order._add(path)  # of an interrupted run, with its checkpoint
            elif option in SETTINGS and path.is_file():
                word = order._add_settings(path)
            elif option in INPUTS and path.exists():
                word = order._add(path)
            order.argv.append(word)
        return order

    def _add(self, path: Path) -> str:
        """Add a file or a folder if it exists; return its path on the node."""
        there = _there(path)
        if path.is_file():
            self.files[there] = path.read_bytes()
        elif path.is_dir():
            self.folders[there] = _pack(path)
        return there

    def _add_settings(self, path: Path) -> str:
        """Add a YAML file, and the files that it names, such as an agent's."""
        there = self._add(path)
        # Settings of a preset for single methods lie beside it, wherever it is put.
        for special in sorted(path.with_suffix("").glob("*.yaml")):
            self.files[str(Path(there).with_suffix("") / special.name)] = special.read_bytes()
        try:
            settings = yaml.safe_load(self.files[there])
        except yaml.YAMLError:  # the run will say what is wrong
            return there
        named = _replaced(settings, lambda text: self._add(Path(text)) if _is_file(text) else text)
        if named != settings:
            self.files[there] = yaml.safe_dump(named, sort_keys=False).encode()
        return there


def _there(path: Path) -> str:
    """Choose a path on the node: the same path, if it is inside the working directory."""
    if not path.is_absolute() and ".." not in path.parts:
        return str(path)
    # The name is always the same: a run that goes on elsewhere has it in its configuration.
    folder = hashlib.sha256(str(path.absolute()).encode()).hexdigest()[:8]
    return f"{FOREIGN}/{folder}/{path.name}"


def _is_file(text: str) -> bool:
    return os.path.isfile(text)  # unlike Path's, False for what cannot be a path


def _replaced(settings: Any, change: Callable[[str], str]) -> Any:
    """Change every string in plain data."""
    if isinstance(settings, str):
        return change(settings)
    if isinstance(settings, dict):
        return {key: _replaced(value, change) for key, value in settings.items()}
    if isinstance(settings, list):
        return [_replaced(value, change) for value in settings]
    return settings


def _run(order: Order, cores: int) -> tuple[int, bytes, bytes | None]:
    """Run a command on this node; when the task is cancelled, interrupt the command.

    Args:
        order: the run and its files.
        cores: the run's share of the node's cores.

    Returns:
        The exit status, what the command printed, and the run's directory as a tar archive, with a
        checkpoint if the run did not succeed; None if there is no directory.
    """
    modules = [os.getcwd(), order.caller, *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(modules),
        "PYTHONUNBUFFERED": "1",
        CORES_SHARE: str(cores),
    }
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
            # Ray's workers block interrupts, and ignore them in the background of a shell; their
            # children would inherit that, and what is ignored cancels nothing.
            signal.signal(signal.SIGINT, signal.default_int_handler)
            mask = signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])
            process = subprocess.Popen(
                order.argv,
                cwd=here,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=environment,
                start_new_session=True,  # a Ctrl-C reaches it once, through us, with its workers
            )
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
            try:
                while process.poll() is None:  # a plain wait() would not notice a cancellation
                    time.sleep(POLL_SECONDS)
            except KeyboardInterrupt:  # a cancellation; what is returned still arrives
                _interrupt(process)
            status = process.wait()
            log.seek(0)
            out = here / order.out
            return status, log.read(), _pack(out) if out.is_dir() else None


def _interrupt(process: subprocess.Popen[bytes]) -> None:
    """End a process as a Ctrl-C would; kill it if it does not stop in time."""
    os.killpg(process.pid, signal.SIGINT)
    try:
        process.wait(GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)


@contextmanager
def _own_termination() -> Iterator[None]:
    """Keep this process's handler of SIGTERM, which Ray would replace by one that aborts."""
    if threading.current_thread() is not threading.main_thread():  # no other gets signals
        yield
        return
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if before is not None:  # None was not set by Python, which cannot set it again
            signal.signal(signal.SIGTERM, before)


def _check_reachable(address: str) -> None:
    """Check within seconds that there is a cluster; Ray would take minutes to find none."""
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
