"""How long a benchmark will take, and what disk and memory it needs, from short runs of its cells.

One cell of every kind is run: its own command, with few frames and few steps. What it says of where
its time went is multiplied up to the frames, epochs and variables of the real ones. Probing is
taken to grow with a game's variables: those that the paper scored, or all if it has not the game.
It cannot know when early stopping will end a training: what it tells is the most that training can
take. And what else a machine is doing differs from hour to hour: expect to be off by half.
"""

from __future__ import annotations

import math
import subprocess
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count, cycle
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml
from rich.console import Console
from rich.table import Table

from lightning_stdim.benchmark.cells import USUAL, RunSpec
from lightning_stdim.benchmark.executors import PROGRAM, LocalExecutor
from lightning_stdim.datamodules.atari import PROBE_SEED_OFFSET, AtariDataModule
from lightning_stdim.datamodules.collection.collect import collection_name
from lightning_stdim.datamodules.labels.annotations import annotation, probed_in_paper
from lightning_stdim.datamodules.labels.games import default_label_set
from lightning_stdim.datamodules.pixels import frame_shape
from lightning_stdim.datamodules.splits import PROBE_FRACTIONS
from lightning_stdim.errors import ConfigurationError
from lightning_stdim.presets import read_preset
from lightning_stdim.probes import PaperSettings
from lightning_stdim.runs.results import is_complete, read_results
from lightning_stdim.utils import timings
from lightning_stdim.utils.hardware import cores
from lightning_stdim.utils.log_tail import duration, last_words
from lightning_stdim.utils.progress_bar import progress_bar

FRAMES = 3000
"""Of a short run's collections, unless their episodes are too few to split; then twice as many."""
SHORT = {
    "--trainer.max_epochs": 2,
    "--trainer.limit_train_batches": 6,
    "--trainer.limit_val_batches": 3,
    "--trainer.callbacks+": "lightning_stdim.callbacks.StepTimer",
}
"""How ``fit`` trains in a short run."""
PAPER_EPOCHS = 10
PRETRAIN_FRACTIONS = {"train": 0.8, "val": 0.2}
CONVERGED_FRAMES = 5000
"""The ``converged`` protocol also has work that does not grow with the frames: as much as so many
take (results/benchmarks/growth.md)."""
POLL_SECONDS = 0.05


@dataclass(frozen=True)
class Kind:
    """Cells that cost the same.

    Attributes:
        name: of their method, with what differs from the preset.
        cells: how many are to run.
        seconds: that one takes at most, its collections aside; of several games the longest.
        total: seconds of all of them.
        disk: bytes of one's directory.
    """

    name: str
    cells: int
    seconds: float
    total: float
    disk: int


@dataclass(frozen=True)
class CostEstimate:
    """What a benchmark will need.

    Attributes:
        kinds: its cells.
        collections: how many have to be made.
        collecting: seconds for all of them.
        disk: bytes, of collections and runs.
        memory: bytes at a time, for all jobs.
        seconds: from beginning to end.
        jobs: how many cells run at a time.
        device_memory: bytes at a time on GPUs, for all jobs.
        elsewhere: what takes the cells to other machines; empty if nothing does.
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
        """Print it as a table.

        Args:
            console: where to print; standard output by default.
        """
        console = console or Console()
        table = Table("", "cells", "each, at most", "all", box=None, padding=(0, 2))
        for column in table.columns[1:]:
            column.justify = "right"
        if self.collections:
            each = self.collecting / self.collections
            costs = duration(each), duration(self.collecting)
            table.add_row("collections", str(self.collections), *costs)
        for kind in self.kinds:
            costs = duration(kind.seconds), duration(kind.total)
            table.add_row(kind.name, str(kind.cells), *costs)
        console.print(table)
        at_a_time = f", {self.jobs} cells at a time" if self.jobs > 1 else ""
        device = f", {self.device_memory / 1e9:.1f} GB of GPU memory" if self.device_memory else ""
        console.print(
            f"at most {duration(self.seconds)} on this machine{at_a_time}, "
            f"{self.disk / 1e9:.1f} GB of disk, {self.memory / 1e9:.1f} GB of memory{device}"
        )
        if self.elsewhere:
            console.print(
                f"{self.elsewhere} will run the cells on other machines: these are the times of "
                f"one cell at a time on this one, divided by {self.jobs} jobs without loss"
            )


def estimate(
    cells: Sequence[RunSpec],
    *,
    preset: str,
    root: str | Path,
    out: str | Path,
    jobs: int = 1,
    elsewhere: str = "",
    threads: int | None = None,
) -> CostEstimate:
    """Run one cell of every kind for a few steps, as many at a time as later, and multiply.

    Args:
        cells: those of the benchmark; finished ones cost nothing.
        preset: a shipped one's name or a YAML file.
        root: folder of the collections; those that are there cost nothing.
        out: the benchmark's directory.
        jobs: how many run at a time.
        elsewhere: what will take the cells to other machines, such as "Ray". Then they are timed
            here one at a time, and their sum is divided by the jobs.
        threads: that a cell has elsewhere; by default all of this machine.

    Returns:
        The estimate.

    Raises:
        ConfigurationError: there is no such preset, or the command of a cell fails.
    """
    read_preset(preset)  # a wrong name should not wait for the first command
    if jobs < 1:
        raise ConfigurationError(f"jobs is {jobs}; at least one run at a time is needed")
    waiting = [cell for cell in cells if not is_complete(cell.folder(Path(out)))]
    if not waiting:
        return CostEstimate()
    alike: dict[str, list[RunSpec]] = defaultdict(list)
    for cell in waiting:
        alike[" ".join(filter(None, (cell.name, cell.variant)))].append(cell)
    with TemporaryDirectory(prefix="stdim-estimate-") as folder:
        measured = _measure(
            [same[0] for same in alike.values()],
            preset=preset,
            folder=Path(folder),
            jobs=1 if elsewhere else jobs,
            threads=threads,
        )
    kinds, memory, device_memory = [], 0, 0
    missing: dict[str, tuple[float, float]] = {}  # of every collection: seconds, bytes
    for name, same in alike.items():
        cost = measured[same[0]]
        seconds = [cost.seconds(_variables(cell.game)) for cell in same]
        kinds.append(Kind(name, len(same), max(seconds), sum(seconds), cost.disk))
        memory = max(memory, cost.memory)
        device_memory = max(device_memory, cost.device_memory)
        for cell in same:
            for file, steps in cost.collections(cell):
                if not (Path(root) / file).exists():
                    missing[file] = steps * cost.play.seconds, steps * cost.play.bytes
    collecting = sum(seconds for seconds, _ in missing.values())
    at_a_time = min(jobs, len(waiting))
    work = collecting + sum(kind.total for kind in kinds)
    return CostEstimate(
        kinds=tuple(kinds),
        collections=len(missing),
        collecting=collecting,
        disk=round(
            sum(size for _, size in missing.values())
            + sum(kind.cells * kind.disk for kind in kinds)
        ),
        memory=at_a_time * memory,
        seconds=max(work / at_a_time, *(kind.seconds for kind in kinds)),
        jobs=at_a_time,
        device_memory=at_a_time * device_memory,
        elsewhere=elsewhere,
    )


@dataclass(frozen=True)
class _Play:
    """What a step of a collection costs."""

    seconds: float
    bytes: float


@dataclass(frozen=True)
class _Cost:
    """What a short run cost, and what it says of the real one.

    Attributes:
        settings: of the real run: its ``data``, ``trainer`` and ``paper``.
        frames: that the short run had at most in each of its collections.
        parts: what it recorded (:mod:`lightning_stdim.utils.timings`).
        variables: how many it probed.
        budget: of its results.
        wall: seconds from the start of its process to the end.
        disk: bytes of its directory.
        play: a step of its collections.
    """

    settings: Mapping[str, Any]
    frames: int
    parts: Sequence[Mapping[str, Any]]
    variables: int
    budget: Mapping[str, Any]
    wall: float
    disk: int
    play: _Play

    def _recorded(self, name: str) -> list[Mapping[str, Any]]:
        return [part for part in self.parts if part["part"] == name]

    @property
    def _fit(self) -> Mapping[str, Any]:
        """The record of the training; empty if nothing was trained."""
        return next(iter(self._recorded("fit")), {})

    @property
    def _pretrains(self) -> bool:
        return bool(self._fit.get("stage") == "pretrain")

    def seconds(self, variables: int) -> float:
        """Multiply up to the real run.

        Args:
            variables: how many it has to probe.

        Returns:
            Seconds at most.
        """
        real = self.settings["data"]["probe_steps"]
        growth = real / min(real, self.frames)
        wider = variables / max(1, self.variables)
        encoding, paper, converged = (
            self._recorded(name)
            for name in ("encoding frames", "probing, paper", "probing, converged")
        )
        known = sum(part["seconds"] for part in (*encoding, *paper, *converged))
        spent = self.budget["seconds"] - (self.budget.get("training_seconds") or 0.0)
        total = self.wall - self.budget["seconds"]  # importing, and writing
        total += growth * max(0.0, spent - known)  # loading and labelling
        total += sum(_rate(part) * part["steps"] for part in encoding) * growth
        for part in paper:
            total += _rate(part) * self.settings["paper"]["max_epochs"] * growth * wider
        fixed = CONVERGED_FRAMES
        slower = (real + fixed) / (real / growth + fixed)
        total += sum(part["seconds"] for part in converged) * slower * wider
        return total + self._training()

    def _training(self) -> float:
        if not (fit := self._fit):
            return 0.0
        data, trainer = self.settings["data"], self.settings["trainer"]
        frames = data["steps"] if self._pretrains else data["probe_steps"]
        shares = PRETRAIN_FRACTIONS if self._pretrains else PROBE_FRACTIONS
        epoch = frames * (shares["train"] * fit["training"] + shares["val"] * fit["validation"])
        epochs, steps = (_limit(trainer[name]) for name in ("max_epochs", "max_steps"))
        epochs = min(epochs, steps * fit["frames_per_step"] / (frames * shares["train"]))
        if epochs == math.inf:
            raise ConfigurationError("without trainer.max_epochs there is no end to estimate")
        return epochs * (epoch + fit["epoch"])

    def collections(self, cell: RunSpec) -> Iterator[tuple[str, int]]:
        """Name the collections that a cell of this kind needs, with their steps.

        Args:
            cell: of any game and seed.
        """
        data = _played(cell, self.settings["data"])
        names = ("policy", "epsilon", "greedy", "pixels", "mode", "difficulty", "label_set")
        played = {name: data[name] for name in names if name in data}
        needed = [(data["probe_steps"], cell.seed + PROBE_SEED_OFFSET)]
        if self._pretrains:
            needed.append((data["steps"], cell.seed))
        for steps, seed in needed:
            yield collection_name(cell.game, steps=steps, seed=seed, **played), steps

    def _further_frames(self) -> int:
        """Bytes of the frames that the real run holds and the short one did not."""
        data = self.settings["data"]
        real = max(data["probe_steps"], data["steps"] if self._pretrains else 0)
        return int((real - min(real, self.frames)) * math.prod(frame_shape(data["pixels"])))

    @property
    def memory(self) -> int:
        """Bytes of the real run's process."""
        return int(max(part["memory"] for part in self.parts)) + self._further_frames()

    @property
    def device_memory(self) -> int:
        """Bytes of the real run on a GPU; 0 if it does not take one."""
        held = int(self._fit.get("device_memory", 0))
        return held + self._further_frames() if held else 0


def _measure(
    cells: Sequence[RunSpec], *, preset: str, folder: Path, jobs: int, threads: int | None
) -> dict[RunSpec, _Cost]:
    """Run cells, and those whose encoders they probe, with few frames and steps."""
    sources = [cell.source for cell in cells if cell.source]
    every = sorted(dict.fromkeys([*sources, *cells]), key=lambda cell: cell.source is not None)
    words = {
        cell: cell.arguments(preset=preset, root=folder / "data", out=folder) for cell in every
    }
    settings: dict[RunSpec, dict[str, Any]] = {}
    with progress_bar("reading settings", len(every), enabled=True) as update:
        for number, cell in enumerate(every):
            update(number, str(cell))
            fits = words[cell][0] == "fit"
            source = settings[cell.source] if cell.source else None
            settings[cell] = (
                _printed(cell, words[cell]) if fits else _of_probe(cell, preset, source)
            )
            update(number + 1, "")
    plays: dict[str, tuple[int, _Play]] = {}
    for cell in every:
        data = _played(cell, settings[cell]["data"])
        if str(data) not in plays:
            plays[str(data)] = _collect(data, folder, workers=max(1, cores() // jobs))
        steps, probe_steps = (min(plays[str(data)][0], data[n]) for n in ("steps", "probe_steps"))
        changes: dict[str, Any] = {"--steps": probe_steps}
        if words[cell][0] == "fit":
            changes = {"--data.steps": steps, "--data.probe_steps": probe_steps, **SHORT}
            changes["--paper.max_epochs"] = min(PAPER_EPOCHS, settings[cell]["paper"]["max_epochs"])
        words[cell] += [f"{name}={value}" for name, value in changes.items()]
    costs = {}
    for cell, wall in _run(words, folder, jobs, threads).items():
        run = cell.folder(folder)
        results = read_results(run)
        protocols = results["scores"]["protocols"].values()
        frames, play = plays[str(_played(cell, settings[cell]["data"]))]
        costs[cell] = _Cost(
            settings=settings[cell],
            frames=frames,
            parts=timings.read(_record(run)),
            variables=max(len(metrics["f1"]["variables"]) for metrics in protocols),
            budget=results["budget"],
            wall=wall,
            disk=sum(path.stat().st_size for path in run.rglob("*") if path.is_file()),
            play=play,
        )
    return costs


def _printed(cell: RunSpec, words: Sequence[str]) -> dict[str, Any]:
    """Have ``fit`` say which settings it would run with."""
    command = [*PROGRAM, *words, "--print_config"]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    if found.returncode:
        lines = [line for line in found.stderr.splitlines() if line.strip()]
        raise _failure(cell, lines[-1].strip() if lines else f"exit status {found.returncode}")
    printed = found.stdout
    settings: dict[str, Any] = yaml.safe_load(printed[printed.index("seed_everything:") :])
    return settings


def _of_probe(
    cell: RunSpec, preset: str, source: Mapping[str, Any] | None
) -> dict[str, dict[str, Any]]:
    """Give the settings that ``probe`` takes from the preset."""
    usual = read_preset(preset)
    data = {**usual.get("data", {}), "game": cell.game}
    if source:
        data["pixels"] = source["data"]["pixels"]  # the encoder's
    try:
        every = dict(AtariDataModule(**data).hparams)
    except TypeError as error:
        raise ConfigurationError(f"preset {preset}: {error}") from error
    return {
        "data": every,
        "paper": {"max_epochs": PaperSettings.max_epochs, **usual.get("paper", {})},
    }


def _played(cell: RunSpec, data: Mapping[str, Any]) -> dict[str, Any]:
    """Give the settings of a cell's collections: its kind's, on its own game."""
    options = dict(cell.options)
    changed: dict[str, Any] = {"game": cell.game, "seed": cell.seed}
    if "policy" in options:
        changed["policy"] = options["policy"]
    if options.get("mode", USUAL) != USUAL:
        changed["mode"] = int(options["mode"])
    return {**data, **changed}


def _collect(data: Mapping[str, Any], folder: Path, *, workers: int) -> tuple[int, _Play]:
    """Play until there are enough episodes to split; give the frames, and what one costs."""
    longest = max(data["steps"], data["probe_steps"])
    frames = FRAMES
    record = folder / "collecting"
    record.unlink(missing_ok=True)
    while True:
        few = {name: min(frames, data[name]) for name in ("steps", "probe_steps")}
        short = {"root": str(folder / "data"), "workers": workers, "stage": "pretrain", **few}
        module = AtariDataModule(**{**data, **short})
        with timings.written_to(record):
            files = [module.collect("probe"), module.collect("pretrain")]
        try:
            module.prepare_data()
            module.setup("fit")
            break
        except ConfigurationError:
            if frames >= longest:  # the run itself will say what is wrong
                break
            frames *= 2
    rates = [_rate(part) for part in timings.read(record)]
    size = sum(file.stat().st_size for file in files) / sum(few.values())
    return frames, _Play(sum(rates) / max(1, len(rates)), size)


def _run(
    commands: Mapping[RunSpec, Sequence[str]], folder: Path, jobs: int, threads: int | None
) -> dict[RunSpec, float]:
    """Execute commands, always as many at a time as there are jobs; give the seconds of each.

    Where there are fewer left than jobs, some run once more beside the others: so all are timed
    with the share of the machine that they will have.
    """
    waiting, again, number = list(commands), cycle(commands), count(1)
    started: dict[RunSpec, float] = {}
    seconds: dict[RunSpec, float] = {}
    with (
        (folder / "lock").open("w") as lock,
        progress_bar("timing short runs", len(commands), enabled=True) as update,
    ):
        executor = LocalExecutor(jobs, lock)
        if threads is not None:
            executor.shares = [{"OMP_NUM_THREADS": str(threads)}] * jobs
        try:
            while len(seconds) < len(commands):
                while len(executor.running) < jobs:
                    ready = [cell for cell in waiting if not cell.source or cell.source in seconds]
                    cell = ready[0] if ready else next(again)
                    words, run = list(commands[cell]), cell.folder(folder)
                    if ready:
                        waiting.remove(cell)
                        started[cell] = time.monotonic()
                    elif not cell.source:
                        cell = replace(cell, seed=-next(number))  # a name of its own
                        run = cell.folder(folder)
                        words.append(f"--out={run}")
                    else:
                        continue
                    with timings.written_to(_record(run)):
                        executor.start(cell, words, _log(run))
                update(len(seconds), ", ".join(str(cell) for cell in executor.running))
                time.sleep(POLL_SECONDS)
                for cell, status in executor.finished():
                    if cell not in commands:
                        continue
                    if status:
                        said = last_words(_log(cell.folder(folder))) or f"exit status {status}"
                        raise _failure(cell, said)
                    seconds[cell] = time.monotonic() - started[cell]
        finally:
            executor.end()
    return seconds


def _failure(cell: RunSpec, said: str) -> ConfigurationError:
    return ConfigurationError(f"{cell} fails when it is tried with few frames and steps: {said}")


def _log(run: Path) -> Path:
    return run.with_suffix(".log")


def _record(run: Path) -> Path:
    return run.with_suffix(".timings")


def _rate(part: Mapping[str, Any]) -> float:
    """Give the seconds of a step, without the first one, which allocates."""
    steps, seconds = part["steps"] - part["first_steps"], part["seconds"] - part["first_seconds"]
    return float(seconds / steps if steps else part["seconds"] / max(1, part["steps"]))


def _limit(value: float | None) -> float:
    """Read Lightning's limits, of which None and -1 are none."""
    return math.inf if value in (None, -1) else float(value)


def _variables(game: str) -> int:
    """Count those that will be scored, as near as that is known before."""
    return len(
        probed_in_paper(game, "random_agent") or annotation(game, default_label_set(game)).variables
    )
