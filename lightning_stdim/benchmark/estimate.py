"""Estimate of the time, disk and memory that a benchmark needs, from short runs.

One run of every kind is made with few frames, and its time is scaled to the real frames, epochs and
variables. Probing is assumed to grow with a game's variables: those that the paper scored, or all
of them if the paper does not have the game. Nobody can know when early stopping will end a
training, so the estimate is the most that training can take. Other work on the machine differs from
hour to hour: expect to be off by half.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console
from rich.table import Table

from lightning_stdim.benchmark.run_spec import RunSpec
from lightning_stdim.benchmark.short_runs import ShortRun, played, run_short
from lightning_stdim.datamodules.atari import PROBE_SEED_OFFSET
from lightning_stdim.datamodules.collection.settings import CollectionSettings
from lightning_stdim.datamodules.labels.annotations import annotation, probed_in_paper
from lightning_stdim.datamodules.labels.games import default_label_set
from lightning_stdim.datamodules.pixels import frame_shape
from lightning_stdim.datamodules.splits import PRETRAIN_FRACTIONS, PROBE_FRACTIONS
from lightning_stdim.errors import ConfigurationError
from lightning_stdim.presets import read_preset
from lightning_stdim.runs.results import is_complete
from lightning_stdim.utils import timings
from lightning_stdim.utils.log_tail import duration

CONVERGED_FRAMES = 3500
"""Number of training frames whose work equals the part of the ``converged`` protocol's work that
does not grow with the frames. (Measured on Pong with an untrained encoder: 13, 17, 25 and 35 s of
one core with 1500, 3000, 6000 and 10 000 frames.)"""


@dataclass(frozen=True)
class Kind:
    """The runs of one kind: of one method, with the same differences from the preset.

    Attributes:
        name: name of the method, and what differs from the preset.
        runs: number of runs that are still to be made.
        seconds: the most that a run takes, without collecting; the longest, if games differ.
        total: seconds of all these runs together.
        disk: bytes of a run's directory.
    """

    name: str
    runs: int
    seconds: float
    total: float
    disk: int


@dataclass(frozen=True)
class CostEstimate:
    """The time, disk and memory that a benchmark will need.

    Attributes:
        kinds: the runs, by kind.
        collections: number of collections that have to be made.
        collecting: seconds for all of these collections.
        disk: bytes on disk, for collections and runs.
        memory: bytes of memory at a time, for all jobs.
        seconds: seconds from beginning to end.
        jobs: number of runs at a time.
        device_memory: bytes of GPU memory at a time, for all jobs.
        elsewhere: what takes the runs to other machines; empty if nothing does.
    """

    kinds: tuple[Kind, ...] = ()
    collections: int = 0
    collecting: float = 0.0
    disk: int = 0
    memory: int = 0
    seconds: float = 0.0
    jobs: int = 1
    device_memory: int = 0
    elsewhere: str = ""

    def print(self, console: Console | None = None) -> None:
        """Print the estimate as a table.

        Args:
            console: where to print; standard output by default.
        """
        console = console or Console()
        table = Table("", "runs", "each, at most", "all", box=None, padding=(0, 2))
        for column in table.columns[1:]:
            column.justify = "right"
        if self.collections:
            each = self.collecting / self.collections
            costs = duration(each), duration(self.collecting)
            table.add_row("collections", str(self.collections), *costs)
        for kind in self.kinds:
            costs = duration(kind.seconds), duration(kind.total)
            table.add_row(kind.name, str(kind.runs), *costs)
        console.print(table, markup=False)  # a policy's file may have brackets in its name
        at_a_time = f", {self.jobs} runs at a time" if self.jobs > 1 else ""
        device = f", {self.device_memory / 1e9:.1f} GB of GPU memory" if self.device_memory else ""
        console.print(
            f"at most {duration(self.seconds)} on this machine{at_a_time}, "
            f"{self.disk / 1e9:.1f} GB of disk, {self.memory / 1e9:.1f} GB of memory{device}",
            soft_wrap=True,
        )
        if self.elsewhere:
            console.print(
                f"{self.elsewhere} will take the runs to other machines: these are the times of "
                f"one run at a time on this machine, divided by {self.jobs} jobs without loss",
                soft_wrap=True,
            )


def estimate(
    specs: Sequence[RunSpec],
    *,
    preset: str,
    root: str | Path,
    out: str | Path,
    jobs: int = 1,
    elsewhere: str = "",
    threads: int | None = None,
) -> CostEstimate:
    """Make a short run of every kind, as many at a time as in the benchmark, and scale their costs.

    Args:
        specs: the runs of the benchmark; finished ones cost nothing.
        preset: name of a shipped preset, or a YAML file.
        root: folder of the collections; those that exist cost nothing.
        out: the benchmark's directory.
        jobs: number of runs at a time.
        elsewhere: what will take the runs to other machines, such as "Ray". The short runs are then
            made here one at a time, and the sum of their times is divided by the jobs.
        threads: number of threads that a run has elsewhere; by default as on this machine.

    Returns:
        The estimate.

    Raises:
        ConfigurationError: there is no such preset, or the command of a run fails.
    """
    read_preset(preset)  # a wrong name should not wait for the first command
    if jobs < 1:
        raise ConfigurationError(f"jobs is {jobs}; at least one run at a time is needed")
    waiting = [spec for spec in specs if not is_complete(spec.folder(Path(out)))]
    if not waiting:
        return CostEstimate()
    alike: dict[str, list[RunSpec]] = defaultdict(list)
    for spec in waiting:
        alike[" ".join(filter(None, (spec.key.method, spec.key.variant)))].append(spec)
    with TemporaryDirectory(prefix="stdim-estimate-") as folder:
        measured = run_short(
            [same[0] for same in alike.values()],
            preset=preset,
            folder=Path(folder),
            jobs=1 if elsewhere else jobs,
            threads=threads,
        )
    kinds, memory, device_memory = [], 0, 0
    missing: dict[str, tuple[float, float]] = {}  # seconds and bytes of every collection
    for name, same in alike.items():
        run = measured[same[0]]
        trained = _training(run)
        seconds = [trained + _probing(run, _variables(spec.key.game)) for spec in same]
        kinds.append(Kind(name, len(same), max(seconds), sum(seconds), run.disk))
        memory = max(memory, run.memory + _further_frames(run))
        if run.device_memory:
            device_memory = max(device_memory, run.device_memory + _further_frames(run))
        for file, steps in (found for spec in same for found in _collections(spec, run)):
            if not (Path(root) / file).exists():
                missing[file] = steps * run.play.seconds, steps * run.play.bytes
    collecting = sum(seconds for seconds, _ in missing.values())
    at_a_time = min(jobs, len(waiting))
    work = collecting + sum(kind.total for kind in kinds)
    return CostEstimate(
        kinds=tuple(kinds),
        collections=len(missing),
        collecting=collecting,
        disk=round(
            sum(size for _, size in missing.values()) + sum(kind.runs * kind.disk for kind in kinds)
        ),
        memory=at_a_time * memory,
        seconds=max(work / at_a_time, *(kind.seconds for kind in kinds)),
        jobs=at_a_time,
        device_memory=at_a_time * device_memory,
        elsewhere=elsewhere,
    )


def _training(run: ShortRun) -> float:
    """Compute the most seconds that training takes."""
    if not (fit := run.fit):
        return 0.0
    data, trainer = run.settings["data"], run.settings["trainer"]
    frames = data["steps"] if run.own_frames else data["probe_steps"]
    shares = PRETRAIN_FRACTIONS if run.own_frames else PROBE_FRACTIONS
    per_frame = shares["train"] * fit["training"] + shares["val"] * fit["validation"]
    epochs, steps = (_limit(trainer[name]) for name in ("max_epochs", "max_steps"))
    epochs = min(epochs, steps * fit["frames_per_step"] / (frames * shares["train"]))
    if epochs == math.inf:
        raise ConfigurationError("without trainer.max_epochs there is no end to estimate")
    return float(epochs * (frames * per_frame + fit["epoch"]))


def _probing(run: ShortRun, variables: int) -> float:
    """Compute the seconds of probing, and of the run's start and end."""
    real = run.settings["data"]["probe_steps"]
    longer = real / min(real, run.frames)
    labelled = PROBE_FRACTIONS["train"] * real  # frames that the probes train on
    wider = variables / max(1, run.variables)
    encoding = sum(timings.rate(part) * part["steps"] for part in run.recorded("encoding frames"))
    epochs = sum(
        timings.rate(part) * run.settings[name]["max_epochs"]
        for name in ("paper", "challenge")
        for part in run.recorded(f"probing, {name}")
    )
    converged = sum(part["seconds"] for part in run.recorded("probing, converged"))
    return float(
        run.start_and_end
        + longer * (run.loading + encoding)
        + wider * labelled / run.labelled * epochs
        + wider * (labelled + CONVERGED_FRAMES) / (run.labelled + CONVERGED_FRAMES) * converged
    )


def _collections(spec: RunSpec, run: ShortRun) -> Iterator[tuple[str, int]]:
    """Name the collections that a run needs, with their steps, from a short run of its kind."""
    data = run.settings["data"]
    needed = [(data["probe_steps"], spec.key.seed + PROBE_SEED_OFFSET)]
    if run.own_frames:
        needed.append((data["steps"], spec.key.seed))
    for steps, seed in needed:
        collection = CollectionSettings(steps=steps, **played(spec, data) | {"seed": seed})
        yield collection.file_name(), steps


def _further_frames(run: ShortRun) -> int:
    """Compute the bytes of the frames that the real run holds beyond those of the short one."""
    data = run.settings["data"]
    real = max(data["probe_steps"], data["steps"] if run.own_frames else 0)
    return int((real - min(real, run.frames)) * math.prod(frame_shape(data["pixels"])))


def _limit(value: float | None) -> float:
    """Read one of Lightning's limits; None and -1 stand for no limit."""
    return math.inf if value in (None, -1) else float(value)


def _variables(game: str) -> int:
    """Count the variables that will be scored, as well as is known beforehand."""
    return len(
        probed_in_paper(game, "random_agent") or annotation(game, default_label_set(game)).variables
    )
