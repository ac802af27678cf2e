"""Lightning's part of a run: checkpoints, callbacks and loggers."""

from __future__ import annotations

import csv
import sys
import warnings
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

from pytorch_lightning import Callback, LightningModule
from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.loggers import CSVLogger, Logger, TensorBoardLogger
from pytorch_lightning.plugins.io import TorchCheckpointIO

from lightning_stdim.callbacks import (
    PrintEpochSummary,
    Reconstructions,
    RepresentationHealth,
    Snapshots,
)
from lightning_stdim.runs.directory import CHECKPOINTS, SNAPSHOTS


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes checkpoints atomically: beside their final place, then renamed.

    Lightning's own class writes to the system's folder for temporary files. If that is another file
    system, moving the file from there is a copy, which a kill can interrupt.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any | None = None
    ) -> None:
        """Write a checkpoint; see Lightning's ``TorchCheckpointIO``."""
        temporary = Path(f"{path}.tmp")
        super().save_checkpoint(checkpoint, temporary, storage_options)
        temporary.replace(path)


class RunCheckpoint(ModelCheckpoint):
    """Keeps one checkpoint: the best by the method's own criterion, or the last epoch's.

    A run needs one of each. Lightning's ``save_last`` would do for both, but writes the last one
    only in epochs that are also the best so far, so that a resumed run would go back to these.

    Args:
        folder: the run's directory.
        monitor: logged value to minimise, for ``best.ckpt``; None for ``last.ckpt``.
    """

    def __init__(self, folder: Path, monitor: str | None) -> None:
        super().__init__(
            dirpath=folder / CHECKPOINTS,
            filename="best" if monitor else "last",
            monitor=monitor,
            save_top_k=1,
            enable_version_counter=False,
        )

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore which checkpoint is the best, also if the run's directory has been moved."""
        here = str(self.dirpath)
        if not (Path(here) / Path(state_dict["best_model_path"]).name).is_file():
            super().load_state_dict(state_dict)  # another run's checkpoint: only weights carry over
            return
        moved = {
            key: str(Path(here) / Path(value).name) if key.endswith("path") and value else value
            for key, value in state_dict.items()
        }
        moved["dirpath"] = here
        moved["best_k_models"] = {
            str(Path(here) / Path(path).name): score
            for path, score in state_dict["best_k_models"].items()
        }
        super().load_state_dict(moved)


class ContinuedCSVLogger(CSVLogger):
    """``metrics.csv`` that keeps its earlier rows when a run is resumed.

    Lightning's own logger deletes the file of the interrupted run.

    Args:
        folder: the run's directory.
        resume_step: keep the rows of earlier steps, as Lightning numbers them: see
            :func:`batches_stepped`.
    """

    def __init__(self, folder: Path, *, resume_step: int = 0) -> None:
        super().__init__(folder, name="", version="")
        self.earlier: list[dict[str, Any]] = []
        path = folder / "metrics.csv"
        if resume_step and path.is_file():
            with path.open(newline="", encoding="utf-8") as file:
                for row in csv.DictReader(file):
                    if int(row["step"]) < resume_step:
                        self.earlier.append({k: v for k, v in row.items() if v != ""})

    @property
    def experiment(self) -> Any:
        """The writer, which begins with the earlier rows."""
        if self._experiment is None:
            with warnings.catch_warnings():  # it says that the earlier rows are lost; they stay
                warnings.filterwarnings("ignore", "Experiment logs directory")
                writer = super().experiment
            writer.metrics.extend(self.earlier)
            writer.save()
        return super().experiment


def run_callbacks(
    folder: Path,
    model: LightningModule,
    given: Sequence[Callback],
    *,
    keep: Literal["best", "last"] = "best",
    snapshots: Sequence[int] = (),
) -> list[Callback]:
    """Make the callbacks that every run has, as far as they fit the model.

    Args:
        folder: the run's directory.
        model: the model that is trained.
        given: the user's callbacks, which replace ours of the same class.
        keep: weights to save: the best by the model's own criterion beside the last, or the last
            alone.
        snapshots: numbers of optimiser steps after which the weights are kept.

    Returns:
        Callbacks for checkpoints; for snapshots, if any are asked for; for a line per epoch, if
        there is no terminal; for the representation's health, if a method pretrains; and for
        pictures, if the model can reconstruct frames.
    """
    own: list[Callback] = [RunCheckpoint(folder, monitor=None)]
    if keep == "best" and (monitor := getattr(model, "monitor", None)) is not None:
        own.insert(0, RunCheckpoint(folder, monitor))  # before the last, which keeps its state
    if snapshots:
        own.append(Snapshots(folder / SNAPSHOTS, snapshots))
    if not sys.stdout.isatty():
        own.append(PrintEpochSummary())
    usual: dict[type[Callback], bool] = {
        RepresentationHealth: getattr(model, "data_stage", None) == "pretrain",
        Reconstructions: hasattr(model, "reconstruct"),
    }
    for kind, fits in usual.items():
        if fits and not any(isinstance(callback, kind) for callback in given):
            own.append(kind())
    return own


def batches_stepped(checkpoint: Mapping[str, Any]) -> int:
    """Count the batches behind a checkpoint that ended with an optimiser's step.

    Lightning numbers what it logs by them. They are fewer than the steps themselves, which
    ``global_step`` counts, if several optimisers step in a batch.

    Args:
        checkpoint: the contents of a checkpoint of a run.

    Returns:
        Their number.
    """
    loops: Mapping[str, Any] = checkpoint.get("loops", {}).get("fit_loop", {})
    progress = loops.get("epoch_loop.state_dict", {})
    return int(progress.get("_batches_that_stepped", checkpoint["global_step"]))


def run_loggers(folder: Path, *, resume_step: int = 0) -> list[Logger]:
    """Make the loggers that every run has.

    Args:
        folder: the run's directory.
        resume_step: where the checkpoint is that the run goes on from: see
            :func:`batches_stepped`.

    Returns:
        The logger of ``metrics.csv``, and TensorBoard's if that is installed.
    """
    loggers: list[Logger] = [ContinuedCSVLogger(folder, resume_step=resume_step)]
    if find_spec("tensorboard"):
        loggers.append(TensorBoardLogger(folder, name="tensorboard", version=""))
    return loggers
