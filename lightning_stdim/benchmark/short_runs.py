"""Short runs of a benchmark's cells: their own commands, with few frames and few steps."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count, cycle
from pathlib import Path
from typing import Any

import yaml

from lightning_stdim.benchmark.cells import USUAL, RunSpec
from lightning_stdim.benchmark.executors import PROGRAM, LocalExecutor
from lightning_stdim.datamodules.atari import AtariDataModule
from lightning_stdim.errors import ConfigurationError
from lightning_stdim.presets import read_preset
from lightning_stdim.probes import PaperSettings
from lightning_stdim.runs.results import read_results
from lightning_stdim.utils import timings
from lightning_stdim.utils.hardware import cores
from lightning_stdim.utils.log_tail import last_words
from lightning_stdim.utils.progress_bar import progress_bar

FRAMES = 3000
"""Of a collection, unless its episodes are too few to split; then twice as many, and so on."""
SHORT = {
    "--trainer.max_epochs": 2,
    "--trainer.limit_train_batches": 6,
    "--trainer.limit_val_batches": 3,
    "--trainer.callbacks+": "lightning_stdim.callbacks.StepTimer",
}
"""How ``fit`` trains."""
PAPER_EPOCHS = 10
COLLECTED = ("policy", "epsilon", "greedy", "pixels", "mode", "difficulty")
"""Settings of the data that make another collection, beside game, seed and steps."""
POLL_SECONDS = 0.05


@dataclass(frozen=True)
class Play:
    """What a step of a collection costs.

    Attributes:
        seconds: to play it.
        bytes: on disk.
    """

    seconds: float
    bytes: float


@dataclass(frozen=True)
class ShortRun:
    """What a short run took, and what the real one is like.

    Attributes:
        settings: the real run's ``data``, ``trainer`` (where it trains) and ``paper``.
        frames: of the short run's collections, where the real ones have as many.
        labelled: frames that its probes were trained on; episodes divide few frames unevenly.
        parts: what it recorded (:mod:`lightning_stdim.utils.timings`).
        variables: how many it probed.
        budget: of its results.
        wall: seconds from the start of its process to the end.
        disk: bytes of its directory.
        play: a step of its collections.
    """

    settings: Mapping[str, Any]
    frames: int
    labelled: int
    parts: Sequence[Mapping[str, Any]]
    variables: int
    budget: Mapping[str, Any]
    wall: float
    disk: int
    play: Play

    def recorded(self, part: str) -> list[Mapping[str, Any]]:
        """Give the records of a part.

        Args:
            part: its name.

        Returns:
            As many as there are.
        """
        return [found for found in self.parts if found["part"] == part]

    @property
    def fit(self) -> Mapping[str, Any]:
        """What ``StepTimer`` recorded; empty if nothing was trained."""
        return next(iter(self.recorded("fit")), {})

    @property
    def pretrains(self) -> bool:
        """Whether it needs frames to pretrain on."""
        return self.fit.get("stage") == "pretrain"

    @property
    def start_and_end(self) -> float:
        """Seconds of importing everything, and of writing what stays."""
        return max(0.0, self.wall - float(self.budget["seconds"]))

    @property
    def loading(self) -> float:
        """Seconds of loading, labelling and hashing the frames to probe."""
        probed = ("encoding frames", "probing, paper", "probing, converged")
        known = sum(part["seconds"] for name in probed for part in self.recorded(name))
        trained = self.budget.get("training_seconds") or 0.0
        return max(0.0, float(self.budget["seconds"] - trained - known))

    @property
    def memory(self) -> int:
        """Bytes that its process had at most."""
        return max(int(part["memory"]) for part in self.parts)

    @property
    def device_memory(self) -> int:
        """Bytes that its training had at most on a GPU; 0 without one."""
        return int(self.fit.get("device_memory", 0))


def run_short(
    cells: Sequence[RunSpec], *, preset: str, folder: Path, jobs: int, threads: int | None = None
) -> dict[RunSpec, ShortRun]:
    """Run cells with few frames and steps, and first those whose encoders they probe.

    Args:
        cells: one of every kind.
        preset: a shipped one's name or a YAML file.
        folder: for their collections and directories.
        jobs: how many at a time.
        threads: of each; by default its share of this machine.

    Returns:
        What each of them took.

    Raises:
        ConfigurationError: the command of one fails.
    """
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
    plays: dict[str, tuple[int, Play]] = {}
    keys = {cell: str(played(cell, settings[cell]["data"])) for cell in every}
    for cell in every:
        data = settings[cell]["data"] | played(cell, settings[cell]["data"])
        if keys[cell] not in plays:
            plays[keys[cell]] = _collect(data, folder, workers=max(1, cores() // jobs))
        steps, probe_steps = (min(plays[keys[cell]][0], data[n]) for n in ("steps", "probe_steps"))
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
        frames, play = plays[keys[cell]]
        costs[cell] = ShortRun(
            settings=settings[cell],
            frames=frames,
            labelled=results["scores"]["provenance"]["frames"]["train"],
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
    first = found.stdout.find("seed_everything:")  # below what imported modules print
    settings: dict[str, Any] = yaml.safe_load(found.stdout[first:])
    return settings


def _of_probe(
    cell: RunSpec, preset: str, source: Mapping[str, Any] | None
) -> dict[str, dict[str, Any]]:
    """Give the settings that ``probe`` takes from the preset."""
    usual = read_preset(preset)
    data = {**usual.get("data", {}), "game": cell.key.game}
    if source:
        data["pixels"] = source["data"]["pixels"]  # the encoder's
    try:
        # A label set that is not named is each game's own.
        every = {**AtariDataModule(**data).hparams, "label_set": data.get("label_set")}
    except TypeError as error:
        raise ConfigurationError(f"preset {preset}: {error}") from error
    return {
        "data": every,
        "paper": {"max_epochs": PaperSettings.max_epochs, **usual.get("paper", {})},
    }


def played(cell: RunSpec, data: Mapping[str, Any]) -> dict[str, Any]:
    """Give what a cell's collections depend on, their steps aside.

    Args:
        cell: of any game and seed.
        data: the settings of the data of a cell of its kind.

    Returns:
        Arguments of ``AtariDataModule``.
    """
    options = dict(cell.key.options)
    changed: dict[str, Any] = {"game": cell.key.game, "seed": cell.key.seed}
    if "policy" in options:
        changed["policy"] = options["policy"]
    if options.get("mode", USUAL) != USUAL:
        changed["mode"] = int(options["mode"])
    return {name: data[name] for name in COLLECTED} | changed


def _collect(data: Mapping[str, Any], folder: Path, *, workers: int) -> tuple[int, Play]:
    """Play until there are enough episodes to split; give the frames, and what one costs."""
    names = ("steps", "probe_steps")
    frames, record = FRAMES, folder / "collecting"
    record.unlink(missing_ok=True)
    while True:
        few = {name: min(frames, data[name]) for name in names}
        short = {"root": str(folder / "data"), "workers": workers, "stage": "pretrain", **few}
        module = AtariDataModule(**{**data, **short})
        try:
            with timings.written_to(record):
                module.prepare_data()
            break
        except ConfigurationError:
            if frames >= max(data[name] for name in names):
                raise  # so will the real run
            frames *= 2
    rates = [timings.rate(part) for part in timings.read(record)]
    sizes = [module.collect(stage).stat().st_size for stage in ("pretrain", "probe")]
    return frames, Play(sum(rates) / len(rates), sum(sizes) / sum(few.values()))


def _run(
    commands: Mapping[RunSpec, Sequence[str]], folder: Path, jobs: int, threads: int | None
) -> dict[RunSpec, float]:
    """Execute commands, always as many at a time as there are jobs; give the seconds of each.

    Where there are fewer left than jobs, some run once more beside the others: so all are timed
    with the share of the machine that they will have.
    """
    waiting, number = list(commands), count(1)
    again = cycle(cell for cell in commands if not cell.source)
    started: dict[RunSpec, float] = {}
    seconds: dict[RunSpec, float] = {}
    with (
        (folder / "lock").open("w") as lock,
        progress_bar("timing short runs", len(commands), enabled=True) as update,
    ):
        executor = LocalExecutor(jobs, lock, program=PROGRAM)
        if threads is not None:
            executor.shares = [{"OMP_NUM_THREADS": str(threads)}] * jobs
        try:
            while len(seconds) < len(commands):
                while len(executor.running) < jobs:
                    ready = (c for c in waiting if not c.source or c.source in seconds)
                    cell = next(ready, None)
                    if cell:
                        waiting.remove(cell)
                        started[cell], words = time.monotonic(), commands[cell]
                    else:
                        usual = next(again)
                        # A directory of its own.
                        cell = replace(usual, key=replace(usual.key, seed=-next(number)))
                        words = [*commands[usual], f"--out={cell.folder(folder)}"]
                    run = cell.folder(folder)
                    with timings.written_to(_record(run)):
                        executor.start(cell, words, _log(run))
                update(len(seconds), ", ".join(str(c) for c in executor.running if c in commands))
                time.sleep(POLL_SECONDS)
                for cell, status in executor.finished():
                    if cell not in commands:
                        continue
                    if status:
                        said = last_words(_log(cell.folder(folder))) or f"exit status {status}"
                        raise _failure(cell, said)
                    seconds[cell] = time.monotonic() - started[cell]
            update(len(seconds), "")
        finally:
            executor.end()
    return seconds


def _failure(cell: RunSpec, said: str) -> ConfigurationError:
    reason = said.removeprefix("error: ")
    return ConfigurationError(f"a short run of {cell}, with few frames, fails: {reason}")


def _log(run: Path) -> Path:
    return run.with_suffix(".log")


def _record(run: Path) -> Path:
    return run.with_suffix(".timings")
