"""Is anything lost or wrong when collections are killed at random moments?

    python studies/faults.py [--out results/studies/faults.json]

A trial starts ``python -m lightning_stdim collect``, kills it at a random moment (the process
alone, one of its workers, or all of them), starts the same command again, kills that one too, and
so on; at last it lets the command finish. The file must then be bit for bit the one that an
uninterrupted command makes, no segment of a game that was complete before a kill may be missing
after the next, and no process or other file may be left. In further trials several processes ask
for the same file at once, and one of them is killed.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from record import print_table, script_parser, write_record

VICTIMS = ("the process", "a worker", "all")
SETTINGS = (  # game, steps, workers
    ("pong", 2000, 1),
    ("breakout", 1500, 2),
    ("mspacman", 1500, 2),
    ("seaquest", 2500, 4),
    ("freeway", 1200, 1),
)


@dataclass
class Command:
    """One collection: what to run, and the file that it makes when nothing happens."""

    game: str
    steps: int
    workers: int
    truth: bytes = b""
    seconds: float = 0.0

    def start(self, root: Path) -> subprocess.Popen[bytes]:
        """Begin to collect in a folder."""
        options = {"game": self.game, "steps": self.steps, "workers": self.workers, "root": root}
        words = [str(word) for name, value in options.items() for word in (f"--{name}", value)]
        return subprocess.Popen(
            [sys.executable, "-m", "lightning_stdim", "collect", *words],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def finish(self, root: Path) -> None:
        """Collect in a folder."""
        if self.start(root).wait():
            raise RuntimeError(f"{self.game}: the command fails")

    def learn(self) -> None:
        """Run it without a fault, for the truth and for the time that there is to kill in."""
        with tempfile.TemporaryDirectory() as folder:
            started = time.monotonic()
            self.finish(Path(folder))
            self.seconds = time.monotonic() - started
            self.truth = next(Path(folder).glob("*.h5")).read_bytes()


def children(pid: int) -> list[int]:
    found = subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True).stdout
    return [int(child) for child in found.split()]


def is_running(pid: int) -> bool:
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True)
    return state.stdout.strip()[:1] not in ("", "Z")


def kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def segments(root: Path) -> set[str]:
    return {path.name for path in root.glob("*.partial/*-*.npz.zst")}


def strike(process: subprocess.Popen[bytes], victim: str, rng: np.random.Generator) -> list[int]:
    """Kill a collection or a part of it; give the workers that it had."""
    workers = children(process.pid)
    if victim != "a worker" or not workers:
        process.kill()
    if victim == "all":
        for worker in workers:
            kill(worker)
    if victim == "a worker" and workers:
        kill(int(rng.choice(workers)))
    process.wait()
    return workers


def gone(workers: list[int]) -> bool:
    """Tell whether workers end within a time that is long enough on a busy machine."""
    deadline = time.monotonic() + 10
    while any(map(is_running, workers)):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def succeeds(process: subprocess.Popen[bytes]) -> bool:
    """Tell whether a command finishes, and within a time that is long enough."""
    try:
        return process.wait(timeout=120) == 0
    except subprocess.TimeoutExpired:
        process.kill()
        return False


def judge(command: Command, root: Path, counts: Counter[str]) -> None:
    """Let a command finish and look at what is there then."""
    counts["commands that did not finish"] += not succeeds(command.start(root))
    file, *others = [path for path in root.iterdir() if not path.name.startswith(".")] or [root]
    if others or not file.is_file():
        counts["files left over or missing"] += 1
    elif file.read_bytes() != command.truth:
        counts["files that differ"] += 1
    counts["files compared"] += 1


def interrupted(
    command: Command, victim: str, kills: int, rng: np.random.Generator, counts: Counter[str]
) -> None:
    """Kill a collection several times, then let it finish."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        there: set[str] = set()
        for _ in range(kills):
            process = command.start(root)
            while not list(root.glob("*.partial")) and process.poll() is None:
                time.sleep(0.01)  # until something is there to lose
            time.sleep(rng.uniform(0, 0.8 * command.seconds))
            if process.poll() is None:
                counts["kills"] += 1
                counts[f"kills of {victim}"] += 1
                counts["workers that lived on"] += not gone(strike(process, victim, rng))
            if list(root.glob("*.h5")):
                counts["kills when the file was there"] += 1
                break
            after = segments(root)
            counts["kills with segments on disk"] += bool(after)
            counts["complete segments"] += len(after - there)
            counts["complete segments lost"] += len(there - after)
            there = after
        judge(command, root, counts)


def at_once(
    command: Command, processes: int, strikes: bool, rng: np.random.Generator, counts: Counter[str]
) -> None:
    """Start the same command several times at once; perhaps kill one of them."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        running = [command.start(root) for _ in range(processes)]
        if strikes:
            time.sleep(rng.uniform(0, command.seconds))
            victim = running.pop(int(rng.integers(processes)))
            if victim.poll() is None:
                counts["kills"] += 1
                counts["kills of one of several"] += 1
                strike(victim, "the process", rng)
        for process in running:
            counts["commands that did not finish"] += not succeeds(process)
        counts["runs of several processes at once"] += 1
        judge(command, root, counts)


FAULTS = (
    "files that differ",
    "files left over or missing",
    "commands that did not finish",
    "complete segments lost",
    "workers that lived on",
)


def main() -> None:
    parser = script_parser(__doc__)
    parser.add_argument(
        "--kills", type=int, default=120, help="least number of kills of single collections"
    )
    parser.add_argument("--at-once", type=int, default=12, help="trials with several processes")
    parser.add_argument(
        "--settings", type=int, default=len(SETTINGS), help="collections to try, of five"
    )
    parser.add_argument("--seed", type=int, default=0, help="random seed of moments and victims")
    parser.add_argument("--out", help="file for the record (JSON)")
    arguments = parser.parse_args()
    rng = np.random.default_rng(arguments.seed)
    counts: Counter[str] = Counter(dict.fromkeys(FAULTS, 0))
    commands = [Command(*setting) for setting in SETTINGS[: arguments.settings]]
    for command in commands:
        command.learn()
    trials = 0
    while counts["kills"] < arguments.kills:
        command = commands[trials % len(commands)]
        interrupted(command, VICTIMS[trials % len(VICTIMS)], 4, rng, counts)
        trials += 1
    for trial in range(arguments.at_once):
        command = commands[trial % len(commands)]
        at_once(command, (2, 4)[trial // 2 % 2], bool(trial % 2), rng, counts)
    print_table(
        f"{len(commands)} collections, killed and started again",
        ("what", "count"),
        [(what, str(counts[what])) for what in sorted(counts, key=lambda w: (w in FAULTS, w))],
    )
    write_record(
        arguments.out,
        {
            "settings": [
                {"game": c.game, "steps": c.steps, "workers": c.workers} for c in commands
            ],
            "counts": dict(counts),
        },
    )
    if any(counts[fault] for fault in FAULTS):
        sys.exit("something was lost or wrong: see the table")


if __name__ == "__main__":
    main()
