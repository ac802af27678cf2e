"""Short runs: the commands of a benchmark's runs, with few frames and few steps."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count, cycle
from pathlib import Path
from typing import Any, get_args

import yaml

from lightning_stdim.benchmark.executors import PROGRAM, LocalExecutor
from lightning_stdim.benchmark.run_spec import USUAL, RunSpec
from lightning_stdim.datamodules.atari import AtariDataModule
from lightning_stdim.errors import ConfigurationError
from lightning_stdim.presets import read_preset
from lightning_stdim.probes import ChallengeSettings, PaperSettings
from lightning_stdim.probes.evaluate import ProbeProtocol
from lightning_stdim.runs.results import read_results
from lightning_stdim.utils import timings
from lightning_stdim.utils.hardware import cores
from lightning_stdim.utils.log_tail import last_words
from lightning_stdim.utils.progress_bar import progress_bar

FRAMES = 3000
"""Number of frames of a collection. It is doubled as long as the episodes are too few to split."""
SHORT = {
    "--trainer.max_epochs": 2,
    "--trainer.limit_train_batches": 6,
    "--trainer.limit_val_batches": 3,
    "--trainer.callbacks+": "lightning_stdim.callbacks.StepTimer",
}
"""Options with which ``fit`` trains for a short time."""
PROBE_EPOCHS = 10
"""Number of epochs of the probes that are trained by epochs."""
COLLECTED = ("policy", "epsilon", "greedy", "pixels", "mode", "difficulty", "environment")
"""Settings of the data, beside game, seed and steps, on which a collection depends."""
POLL_SECONDS = 0.05


@dataclass(frozen=True)
class Play:
    """The cost of a step of a collection.

    Attributes:
        seconds: seconds to play it.
        bytes: bytes that it takes on disk.
    """

    seconds: float
    bytes: float


@dataclass(frozen=True)
class ShortRun:
    """The costs of a short run, and the settings of the real one.

    Attributes:
        settings: the real run's ``data``, ``trainer`` (if it trains), ``paper`` and ``challenge``.
        frames: number of frames of the short run's collections, unless the real ones have fewer.
        labelled: number of frames that the probes were trained on; this is not a fixed share, since
            episodes divide few frames unevenly.
        parts: the recorded timings (:mod:`lightning_stdim.utils.timings`).
        variables: number of variables that were probed.
        budget: the budget in the results.
        wall: seconds from the start of the process to its end.
        disk: bytes of the run's directory.
        play: the cost of a step of the collections.
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
        """List the records of a part.

        Args:
            part: name of the part.

        Returns:
            The records, in their order; there may be none.
        """
        return [found for found in self.parts if found["part"] == part]

    @property
    def fit(self) -> Mapping[str, Any]:
        """The record of ``StepTimer``; empty if nothing was trained."""
        return next(iter(self.recorded("fit")), {})

    @property
    def own_frames(self) -> bool:
        """Whether the run needs frames to pretrain on beside those of the probes."""
        pretrains = self.fit.get("stage") == "pretrain"
        return pretrains and bool(self.settings["data"]["pretrain_on"] == "own")

    @property
    def start_and_end(self) -> float:
        """Seconds for imports at the start, and for writing files at the end."""
        return max(0.0, self.wall - float(self.budget["seconds"]))

    @property
    def loading(self) -> float:
        """Seconds for loading, labelling and hashing the probe frames."""
        probed = ("encoding frames", *(f"probing, {name}" for name in get_args(ProbeProtocol)))
        known = sum(part["seconds"] for name in probed for part in self.recorded(name))
        trained = self.budget.get("training_seconds") or 0.0
        return max(0.0, float(self.budget["seconds"] - trained - known))

    @property
    def memory(self) -> int:
        """The process's peak memory in bytes."""
        return max(int(part["memory"]) for part in self.parts)

    @property
    def device_memory(self) -> int:
        """The training's peak memory on a GPU in bytes; 0 without a GPU."""
        return int(self.fit.get("device_memory", 0))


def run_short(
    specs: Sequence[RunSpec], *, preset: str, folder: Path, jobs: int, threads: int | None = None
) -> dict[RunSpec, ShortRun]:
    """Make short runs, and before them those whose encoders they probe.

    Args:
        specs: the runs, one of every kind.
        preset: name of a shipped preset, or a YAML file.
        folder: folder for their collections and directories.
        jobs: number of runs at a time.
        threads: number of threads of each; by default its share of this machine.

    Returns:
        The costs of each run.

    Raises:
        ConfigurationError: the command of a run fails.
    """
    sources = [spec.source for spec in specs if spec.source]
    every = sorted(dict.fromkeys([*sources, *specs]), key=lambda spec: spec.source is not None)
    argv = {spec: spec.arguments(preset=preset, root=folder / "data", out=folder) for spec in every}
    settings: dict[RunSpec, dict[str, Any]] = {}
    with progress_bar("reading settings", len(every), enabled=True) as update:
        for number, spec in enumerate(every):
            update(number, str(spec))
            fits = argv[spec][0] == "fit"
            source = settings[spec.source] if spec.source else None
            settings[spec] = _printed(spec, argv[spec]) if fits else _of_probe(spec, preset, source)
            update(number + 1, "")
    plays: dict[str, tuple[int, Play]] = {}
    keys = {spec: str(played(spec, settings[spec]["data"])) for spec in every}
    for spec in every:
        data = settings[spec]["data"] | played(spec, settings[spec]["data"])
        if keys[spec] not in plays:
            plays[keys[spec]] = _collect(data, folder, workers=max(1, cores() // jobs))
        steps, probe_steps = (min(plays[keys[spec]][0], data[n]) for n in ("steps", "probe_steps"))
        changes: dict[str, Any] = {"--steps": probe_steps}
        if argv[spec][0] == "fit":
            changes = {"--data.steps": steps, "--data.probe_steps": probe_steps, **SHORT}
            for name in ("paper", "challenge"):
                epochs = min(PROBE_EPOCHS, settings[spec][name]["max_epochs"])
                changes[f"--{name}.max_epochs"] = epochs
        argv[spec] += [f"{name}={value}" for name, value in changes.items()]
    costs = {}
    for spec, wall in _run(argv, folder, jobs, threads).items():
        run = spec.folder(folder)
        results = read_results(run)
        protocols = results["scores"]["protocols"].values()
        frames, play = plays[keys[spec]]
        costs[spec] = ShortRun(
            settings=settings[spec],
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


def _printed(spec: RunSpec, argv: Sequence[str]) -> dict[str, Any]:
    """Ask ``fit`` for the settings that it would run with."""
    command = [*PROGRAM, *argv, "--print_config"]
    found = subprocess.run(
        command, capture_output=True, encoding="utf-8", errors="replace", check=False
    )
    if found.returncode:
        lines = [line for line in found.stderr.splitlines() if line.strip()]
        raise _failure(spec, lines[-1].strip() if lines else f"exit status {found.returncode}")
    first = found.stdout.find("seed_everything:")  # below what imported modules print
    settings: dict[str, Any] = yaml.safe_load(found.stdout[first:])
    return settings


def _of_probe(
    spec: RunSpec, preset: str, source: Mapping[str, Any] | None
) -> dict[str, dict[str, Any]]:
    """Collect the settings that ``probe`` takes from the preset."""
    usual = read_preset(preset)
    data = {**usual.get("data", {}), "game": spec.key.game}
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
        "challenge": {"max_epochs": ChallengeSettings.max_epochs, **usual.get("challenge", {})},
    }


def played(spec: RunSpec, data: Mapping[str, Any]) -> dict[str, Any]:
    """Collect the settings on which a run's collections depend, except for their steps.

    Args:
        spec: a run of any game and seed.
        data: the settings of the data of a run of its kind.

    Returns:
        Arguments of ``AtariDataModule``.
    """
    options = dict(spec.key.options)
    changed: dict[str, Any] = {"game": spec.key.game, "seed": spec.key.seed}
    if "policy" in options:
        changed["policy"] = options["policy"]
    if options.get("mode", USUAL) != USUAL:
        changed["mode"] = int(options["mode"])
    return {name: data[name] for name in COLLECTED} | changed


def _collect(data: Mapping[str, Any], folder: Path, *, workers: int) -> tuple[int, Play]:
    """Play until there are enough episodes to split; return the frames, and the cost of one."""
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
    """Execute commands, always as many at a time as there are jobs; return the seconds of each.

    If fewer commands than jobs are left, some run once more beside the others. So each is timed
    with the share of the machine that it will have.
    """
    waiting, number = list(commands), count(1)
    again = cycle(spec for spec in commands if not spec.source)
    started: dict[RunSpec, float] = {}
    seconds: dict[RunSpec, float] = {}
    with (
        (folder / "lock").open("w", encoding="utf-8") as lock,
        progress_bar("timing short runs", len(commands), enabled=True) as update,
    ):
        executor = LocalExecutor(jobs, lock, program=PROGRAM)
        if threads is not None:
            executor.shares = [{"OMP_NUM_THREADS": str(threads)}] * jobs
        try:
            while len(seconds) < len(commands):
                while len(executor.running) < jobs:
                    ready = (one for one in waiting if not one.source or one.source in seconds)
                    spec = next(ready, None)
                    if spec:
                        waiting.remove(spec)
                        started[spec], argv = time.monotonic(), commands[spec]
                    else:
                        usual = next(again)
                        # A directory of its own.
                        spec = replace(usual, key=replace(usual.key, seed=-next(number)))
                        argv = [*commands[usual], f"--out={spec.folder(folder)}"]
                    run = spec.folder(folder)
                    with timings.written_to(_record(run)):
                        executor.start(spec, argv, _log(run))
                update(
                    len(seconds), ", ".join(str(one) for one in executor.running if one in commands)
                )
                time.sleep(POLL_SECONDS)
                for spec, status in executor.finished():
                    if spec not in commands:
                        continue
                    if status:
                        said = last_words(_log(spec.folder(folder))) or f"exit status {status}"
                        raise _failure(spec, said)
                    seconds[spec] = time.monotonic() - started[spec]
            update(len(seconds), "")
        finally:
            executor.end()
    return seconds


def _failure(spec: RunSpec, said: str) -> ConfigurationError:
    reason = said.removeprefix("error: ")
    return ConfigurationError(f"a short run of {spec}, with few frames, fails: {reason}")


def _log(run: Path) -> Path:
    return run.with_suffix(".log")


def _record(run: Path) -> Path:
    return run.with_suffix(".timings")
