"""How long a benchmark will take, and what disk and memory it needs, from a short calibration.

A few training steps of every method, a small collection of the first game, and every kind of probe
of every kind of encoder on it are timed on this machine; the rest is multiplication. Probing is
taken to grow with a game's variables: those that the paper scored, or all if it has not the game.
It cannot know when early stopping will end a training: what it tells is the most that training can
take. And what else a machine is doing differs from hour to hour: expect to be off by half.
"""

from __future__ import annotations

import inspect
import resource
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil, prod
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

import torch
import yaml
from lightning_fabric import Fabric
from pytorch_lightning import LightningModule
from rich.console import Console
from rich.table import Table
from torch import Tensor

import lightning_stdim.methods
from lightning_stdim.benchmark.cells import USUAL, RunSpec, epochs_of, probe_settings
from lightning_stdim.benchmark.executors import PROGRAM
from lightning_stdim.catalogue import METHODS, describe
from lightning_stdim.datamodules.atari import PROBE_SEED_OFFSET, AtariDataModule
from lightning_stdim.datamodules.batches import ProbeData, SequenceBatch
from lightning_stdim.datamodules.collection.settings import CollectionSettings
from lightning_stdim.datamodules.labels.annotations import annotation, probed_in_paper
from lightning_stdim.datamodules.labels.games import default_label_set
from lightning_stdim.datamodules.pixels import frame_shape
from lightning_stdim.errors import ConfigurationError
from lightning_stdim.methods import SSLMethod
from lightning_stdim.presets import method_path, read_preset
from lightning_stdim.probes import ConvergedSettings, PaperSettings
from lightning_stdim.probes.converged import train_converged
from lightning_stdim.probes.evaluate import encode_splits
from lightning_stdim.probes.paper import train_paper
from lightning_stdim.runs.results import is_complete
from lightning_stdim.utils.hardware import cores
from lightning_stdim.utils.log_tail import duration
from lightning_stdim.utils.user_code import import_from

CALIBRATION_STEPS = 3000
CALIBRATION_EPOCHS = 3
REPEATS = 2
TRAIN, VAL = 0.8, 0.2
"""The splits of the frames to pretrain on."""
CONTROL = 0.4
"""What the control of shuffled labels adds to the converged protocol (docs/statistics.md)."""
PROBES = ("hidden", "standardize", "classes", "protocols")
"""Options of cells that change what probing costs."""
CHECKPOINTS = 2
"""A run keeps the best and the last."""


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
    """

    kinds: tuple[Kind, ...]
    collections: int
    collecting: float
    disk: int
    memory: int
    seconds: float

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
        console.print(
            f"at most {duration(self.seconds)} on this machine, {self.disk / 1e9:.1f} GB of disk, "
            f"{self.memory / 1e9:.1f} GB of memory"
        )


def estimate(
    cells: Sequence[RunSpec], *, preset: str, root: str | Path, out: str | Path, jobs: int = 1
) -> CostEstimate:
    """Calibrate on this machine, and multiply.

    With several jobs the cores are taken to be divided without loss: what one cell takes is what it
    takes with all cores.

    Args:
        cells: those of the benchmark; finished ones cost nothing.
        preset: a shipped one's name or a YAML file.
        root: folder of the collections; those that are there cost nothing.
        out: the benchmark's directory.
        jobs: how many run at a time.

    Returns:
        The estimate.

    Raises:
        ConfigurationError: there is no such preset or method.
    """
    settings = read_preset(preset)
    waiting = [cell for cell in cells if not is_complete(cell.folder(Path(out)))]
    if not waiting:
        return CostEstimate((), 0, 0.0, 0, 0, 0.0)
    alike: dict[str, list[RunSpec]] = defaultdict(list)
    for cell in waiting:
        alike[" ".join(filter(None, (cell.key.method, cell.key.variant)))].append(cell)
    start_up = _start_up()
    probes: dict[tuple[str, ...], tuple[float, float]] = {}
    kinds = []
    with TemporaryDirectory() as folder:
        play, data = _calibration_data(waiting[0].key.game, folder)
        for name, same in alike.items():
            first, fixed, probing, disk = same[0], start_up, 0.0, 0
            if describe(first.method).has_model:
                method = _method(first.method, settings)
                # Supervised has none to probe if every variable trains one of its own.
                if isinstance(encoder := getattr(method, "encoder", None), torch.nn.Module):
                    options = probe_settings(dict(first.key.options))
                    chosen = {key: value for key, value in options if key in PROBES}
                    kind = str(encoder), *map(str, chosen.items())
                    if kind not in probes:
                        probes[kind] = _probing(encoder, data, settings, chosen)
                    encoding, probing = probes[kind]
                    fixed += encoding
                if first.key.source is None:
                    trained, disk = _training(method, first, settings)
                    fixed += trained
            seconds = [fixed + _variables(cell.key.game) * probing for cell in same]
            kinds.append(Kind(name, len(same), max(seconds), sum(seconds), disk))
    missing = _collections(waiting, settings, Path(root))
    steps = sum(missing)
    frames = settings["data"]["steps"] + settings["data"]["probe_steps"]
    frame = prod(frame_shape(settings["data"].get("pixels", "luma")))
    beside = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    beside *= 1 if sys.platform == "darwin" else 1024
    collecting = steps * play.seconds
    return CostEstimate(
        kinds=tuple(kinds),
        collections=len(missing),
        collecting=collecting,
        disk=round(steps * play.bytes) + sum(kind.cells * kind.disk for kind in kinds),
        memory=jobs * (frames * frame + beside),
        seconds=collecting + sum(kind.total for kind in kinds),
    )


@dataclass(frozen=True)
class _Play:
    """What a step of a collection costs."""

    seconds: float
    bytes: float


def _start_up() -> float:
    """Time what every run does before it begins: importing PyTorch and Lightning."""
    started = time.monotonic()
    subprocess.run([*PROGRAM, "fit", "--help"], capture_output=True, check=True)
    return time.monotonic() - started


def _calibration_data(game: str, root: str) -> tuple[_Play, ProbeData]:
    """Play until there are enough episodes to split, and time it."""
    for steps in (CALIBRATION_STEPS * 2**k for k in range(5)):
        data = AtariDataModule(game, probe_steps=steps, stage="probe", root=root, workers=cores())
        started = time.monotonic()
        path = data.collect("probe")
        play = _Play((time.monotonic() - started) / steps, path.stat().st_size / steps)
        try:
            return play, data.probe_data()
        except ConfigurationError:  # too few episodes
            continue
    raise ConfigurationError(
        f"{game}'s episodes are too long for an estimate; put another in front"
    )


def _variables(game: str) -> int:
    """Count those that will be scored, as near as that is known before."""
    return len(
        probed_in_paper(game, "random_agent") or annotation(game, default_label_set(game)).variables
    )


def _probing(
    encoder: torch.nn.Module,
    data: ProbeData,
    settings: Mapping[str, Any],
    chosen: Mapping[str, str],
) -> tuple[float, float]:
    """Time the protocols on a few frames, and extrapolate to the preset's.

    Gives the seconds of encoding, and of probing one variable.
    """
    words = {key: yaml.safe_load(value) for key, value in chosen.items()}
    protocols = words.pop("protocols", "paper,converged").split(",")
    paper = {**settings.get("paper", {}), **words}
    epochs = paper.get("max_epochs", PaperSettings.max_epochs)
    converged = dict(settings.get("converged", {}))
    if "strengths" in converged:
        converged["strengths"] = tuple(converged["strengths"])
    scale = settings["data"]["probe_steps"] / len(data.frames)
    started = time.monotonic()
    features = encode_splits(encoder, data)
    encoding = time.monotonic() - started

    def seconds(run: Callable[..., object], settings: object) -> float:
        started = time.monotonic()
        run(features, settings=settings)
        return time.monotonic() - started

    probing = 0.0
    if "paper" in protocols:
        one = seconds(train_paper, PaperSettings(**{**paper, "max_epochs": 1}))
        several = seconds(train_paper, PaperSettings(**{**paper, "max_epochs": CALIBRATION_EPOCHS}))
        epoch = max(0.0, several - one) / (CALIBRATION_EPOCHS - 1)
        probing += one + epoch * (epochs - 1)
    if "converged" in protocols:
        probing += (1 + CONTROL) * seconds(train_converged, ConvergedSettings(**converged))
    return scale * encoding, scale * probing / len(data.variables)


def _training(
    method: LightningModule, cell: RunSpec, settings: Mapping[str, Any]
) -> tuple[float, int]:
    """Time a few steps of a method; give the seconds of a training and the bytes of its run."""
    weights = sum(parameter.nbytes for parameter in method.parameters())
    trainable = sum(p.nbytes for p in method.parameters() if p.requires_grad)
    disk = CHECKPOINTS * (weights + 2 * trainable) + weights  # Adam keeps two moments
    if not trainable:
        return 0.0, disk
    options = dict(cell.key.options)
    steps = int(options.get("steps", settings["data"]["steps"]))
    epochs = epochs_of(steps, settings)
    step, forward = _times(method, settings["trainer"].get("precision"))
    if isinstance(method, SSLMethod):
        frames, stride = steps, max(1, method.sequence_length // 2)
    else:  # supervised
        frames, stride = settings["data"]["probe_steps"], 1
    size = settings["data"].get("batch_size") or getattr(method, "batch_size", 64)
    batches = [ceil(frames * share / stride / size) for share in (TRAIN, VAL)]
    return epochs * (batches[0] * step + batches[1] * forward), disk


def _method(name: str, settings: Mapping[str, Any]) -> LightningModule:
    """Make a method as the preset and its own configuration say."""
    model = settings["model"]
    base = dict(model.get("init_args", {})) if isinstance(model, dict) else {}
    own: Mapping[str, Any] = {"class_path": name}
    if name in METHODS or name.endswith((".yaml", ".yml")):
        path = method_path(name) if name in METHODS else Path(name)
        found = yaml.safe_load(path.read_text())["model"]
        own = found if isinstance(found, dict) else {"class_path": found}
    path_ = own["class_path"]
    made = import_from(path_) if "." in path_ else getattr(lightning_stdim.methods, path_)
    known = inspect.signature(made).parameters
    inherited = {key: value for key, value in base.items() if key in known}
    method: LightningModule = made(**{**inherited, **own.get("init_args", {})})
    return method


def _times(method: LightningModule, precision: Any) -> tuple[float, float]:
    """Time a training step, and a step without gradients; without the first, which allocates."""
    autocast = Fabric(accelerator="cpu", devices=1, precision=precision).autocast
    if isinstance(method, SSLMethod):
        batch = _batch(method)

        def loss() -> Tensor:
            with autocast():
                return method.loss(batch)["loss"]
    else:  # supervised: an encoder and little else
        frames = torch.randint(256, (64, 1, 210, 160), dtype=torch.uint8)

        def loss() -> Tensor:
            with autocast():
                vectors: Tensor = cast(torch.nn.Module, method.encoder)(frames)
            return vectors.square().mean()

    trainable = (p for p in method.parameters() if p.requires_grad)
    optimizer = torch.optim.Adam(trainable, fused=True)

    def step() -> None:
        optimizer.zero_grad()
        loss().backward()  # type: ignore[no-untyped-call]
        optimizer.step()

    def best(run: Callable[[], object]) -> float:
        seconds = []
        for _ in range(1 + REPEATS):
            started = time.monotonic()
            run()
            seconds.append(time.monotonic() - started)
        return min(seconds[1:])

    with torch.no_grad():
        forward = best(loss)
    return best(step), forward


def _batch(method: SSLMethod) -> SequenceBatch:
    shape = (method.sequence_length, method.batch_size, method.frame_stack, 210, 160)
    frames = torch.randint(256, shape, dtype=torch.uint8)
    others = frames[-1].flip(0) if method.needs_same_episode_frames else None
    return SequenceBatch(frames, torch.arange(method.batch_size), others)


def _collections(cells: Sequence[RunSpec], settings: Mapping[str, Any], root: Path) -> list[int]:
    """Give the steps of every collection that is not there yet."""
    names = ("policy", "epsilon", "greedy", "pixels", "difficulty", "label_set")
    usual = {name: settings["data"][name] for name in names if name in settings["data"]}
    wanted: dict[str, int] = {}
    for cell in cells:
        options = dict(cell.key.options)
        mode = options.get("mode", USUAL)
        frames = {**usual, "mode": settings["data"].get("mode") if mode == USUAL else int(mode)}
        if "policy" in options:
            frames["policy"] = options["policy"]
        needed = [(settings["data"]["probe_steps"], cell.key.seed + PROBE_SEED_OFFSET)]
        if cell.key.source is None and describe(cell.method).pretrains:
            needed.append((int(options.get("steps", settings["data"]["steps"])), cell.key.seed))
        for steps, seed in needed:
            made_from = CollectionSettings(cell.key.game, steps=steps, seed=seed, **frames)
            wanted[made_from.file_name()] = steps
    return [steps for name, steps in wanted.items() if not (root / name).exists()]
