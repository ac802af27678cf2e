"""How long a benchmark will take, and what disk and memory it needs, from a short calibration.

A few training steps of every method, a small collection, and probes on it are timed on this
machine; the rest is multiplication. It cannot know when early stopping will end a training: what it
tells is the most that training can take. And what else a machine is doing differs from hour to
hour: expect to be off by half.
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
from lightning import Fabric, LightningModule
from rich.console import Console
from rich.table import Table
from torch import Tensor

import lightning_stdim.methods
from lightning_stdim.benchmark.cells import USUAL, Cell
from lightning_stdim.benchmark.environment import cores
from lightning_stdim.benchmark.executors import PROGRAM
from lightning_stdim.benchmark.grid import UNTRAINED
from lightning_stdim.benchmark.progress import duration
from lightning_stdim.benchmark.results import is_complete
from lightning_stdim.datamodules.atari import PROBE_SEED_OFFSET, AtariDataModule
from lightning_stdim.datamodules.batches import ProbeData, SequenceBatch
from lightning_stdim.datamodules.collect import collection_name
from lightning_stdim.datamodules.pixels import frame_shape
from lightning_stdim.encoders import NatureEncoder
from lightning_stdim.errors import ConfigurationError
from lightning_stdim.imports import import_from
from lightning_stdim.methods import SSLMethod
from lightning_stdim.presets import method_names, method_path, read_preset
from lightning_stdim.probes import ConvergedSettings, PaperSettings
from lightning_stdim.probes.converged import train_converged
from lightning_stdim.probes.evaluate import encode_splits
from lightning_stdim.probes.paper import train_paper

CALIBRATION_STEPS = 3000
CALIBRATION_EPOCHS = 3
REPEATS = 2
TRAIN, VAL = 0.8, 0.2
"""The splits of the frames to pretrain on."""
CONTROL = 0.4
"""What the control of shuffled labels adds to the converged protocol (docs/statistics.md)."""
CHECKPOINTS = 2
"""A run keeps the best and the last."""


@dataclass(frozen=True)
class Kind:
    """Cells that cost the same.

    Attributes:
        name: of their method, with what differs from the preset.
        cells: how many are to run.
        seconds: that one takes at most, its collections aside.
        disk: bytes of one's directory.
    """

    name: str
    cells: int
    seconds: float
    disk: int


@dataclass(frozen=True)
class Estimate:
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
            total = duration(kind.cells * kind.seconds)
            table.add_row(kind.name, str(kind.cells), duration(kind.seconds), total)
        console.print(table)
        console.print(
            f"at most {duration(self.seconds)} on this machine, {self.disk / 1e9:.1f} GB of disk, "
            f"{self.memory / 1e9:.1f} GB of memory"
        )


def estimate(
    cells: Sequence[Cell], *, preset: str, root: str | Path, out: str | Path, jobs: int = 1
) -> Estimate:
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
        return Estimate((), 0, 0.0, 0, 0, 0.0)
    start_up = _start_up()
    with TemporaryDirectory() as folder:
        play, data = _calibration_data(waiting[0].game, folder)
        probing = _probing(data, settings)
    alike: dict[str, list[Cell]] = defaultdict(list)
    for cell in waiting:
        alike[" ".join(filter(None, (cell.name, cell.variant)))].append(cell)
    kinds = []
    for name, same in alike.items():
        seconds, disk = start_up, 0
        if same[0].method != "majority":
            seconds += probing
            if same[0].source is None:
                trained, disk = _training(same[0], settings)
                seconds += trained
        kinds.append(Kind(name, len(same), seconds, disk))
    missing = _collections(waiting, settings, Path(root))
    steps = sum(missing)
    frames = settings["data"]["steps"] + settings["data"]["probe_steps"]
    frame = prod(frame_shape(settings["data"].get("pixels", "luma")))
    beside = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    beside *= 1 if sys.platform == "darwin" else 1024
    collecting = steps * play.seconds
    return Estimate(
        kinds=tuple(kinds),
        collections=len(missing),
        collecting=collecting,
        disk=round(steps * play.bytes) + sum(kind.cells * kind.disk for kind in kinds),
        memory=jobs * (frames * frame + beside),
        seconds=collecting + sum(kind.cells * kind.seconds for kind in kinds),
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


def _probing(data: ProbeData, settings: Mapping[str, Any]) -> float:
    """Time both protocols on a few frames, and extrapolate to the preset's."""
    paper = settings.get("paper", {})
    epochs = paper.get("max_epochs", PaperSettings.max_epochs)
    converged = dict(settings.get("converged", {}))
    if "strengths" in converged:
        converged["strengths"] = tuple(converged["strengths"])
    started = time.monotonic()
    features = encode_splits(NatureEncoder(), data)
    encoding = time.monotonic() - started

    def seconds(run: Callable[..., object], settings: object) -> float:
        started = time.monotonic()
        run(features, settings=settings)
        return time.monotonic() - started

    one = seconds(train_paper, PaperSettings(**{**paper, "max_epochs": 1}))
    several = seconds(train_paper, PaperSettings(**{**paper, "max_epochs": CALIBRATION_EPOCHS}))
    epoch = max(0.0, several - one) / (CALIBRATION_EPOCHS - 1)
    solved = (1 + CONTROL) * seconds(train_converged, ConvergedSettings(**converged))
    scale = settings["data"]["probe_steps"] / len(data.frames)
    return float(scale * (encoding + one + epoch * (epochs - 1) + solved))


def _training(cell: Cell, settings: Mapping[str, Any]) -> tuple[float, int]:
    """Time a few steps of a method; give the seconds of a training and the bytes of its run."""
    method = _method(cell.method, settings)
    weights = sum(parameter.nbytes for parameter in method.parameters())
    trainable = sum(p.nbytes for p in method.parameters() if p.requires_grad)
    disk = CHECKPOINTS * (weights + 2 * trainable) + weights  # Adam keeps two moments
    if not trainable:
        return 0.0, disk
    options = dict(cell.options)
    steps = int(options.get("steps", settings["data"]["steps"]))
    epochs = int(options.get("max_epochs", settings["trainer"]["max_epochs"]))
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
    if name in method_names() or name.endswith((".yaml", ".yml")):
        path = method_path(name) if name in method_names() else Path(name)
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
    others = frames[-1].flip(0) if method.needs_others else None
    return SequenceBatch(frames, torch.arange(method.batch_size), others)


def _collections(cells: Sequence[Cell], settings: Mapping[str, Any], root: Path) -> list[int]:
    """Give the steps of every collection that is not there yet."""
    names = ("policy", "epsilon", "greedy", "pixels", "difficulty", "label_set")
    usual = {name: settings["data"][name] for name in names if name in settings["data"]}
    wanted: dict[str, int] = {}
    for cell in cells:
        options = dict(cell.options)
        mode = options.get("mode", USUAL)
        frames = {**usual, "mode": settings["data"].get("mode") if mode == USUAL else int(mode)}
        if "policy" in options:
            frames["policy"] = options["policy"]
        needed = [(settings["data"]["probe_steps"], cell.seed + PROBE_SEED_OFFSET)]
        if cell.source is None and cell.method not in UNTRAINED:
            needed.append((int(options.get("steps", settings["data"]["steps"])), cell.seed))
        for steps, seed in needed:
            wanted[collection_name(cell.game, steps=steps, seed=seed, **frames)] = steps
    return [steps for name, steps in wanted.items() if not (root / name).exists()]
