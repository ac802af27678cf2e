"""Lightning's part of a run: checkpoints, callbacks and loggers."""

from __future__ import annotations

import csv
import sys
import time
import warnings
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.loggers import CSVLogger, Logger, TensorBoardLogger
from pytorch_lightning.plugins.io import TorchCheckpointIO

from lightning_stdim.callbacks import (
    PrintEpochSummary,
    Reconstructions,
    RepresentationHealth,
    Snapshots,
)
from lightning_stdim.callbacks.exact_resume import KEY, within_epoch
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
    """Keeps the best checkpoint by the method's own criterion, ``best.ckpt``.

    Args:
        folder: the run's directory.
        monitor: logged value to minimise.
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


class LastCheckpoint(RunCheckpoint):
    """Keeps the checkpoint that training goes on from, ``last.ckpt``.

    It is written at the end of every epoch, after every validation within one, and in long epochs
    every few minutes. If training ends within an epoch, because of ``max_steps`` or a signal, it is
    written after the last batch, before what Lightning does at the end of an epoch.

    Lightning's ``save_last`` writes only in epochs that are also the best so far, so that a resumed
    run would go back to these.

    Args:
        folder: the run's directory.
        minutes: time from one checkpoint within an epoch to the next.
    """

    def __init__(self, folder: Path, *, minutes: float = 15.0) -> None:
        super().__init__(folder, monitor=None)
        self.minutes = minutes

    @property
    def state_key(self) -> str:
        """The key of its state in checkpoints, with the class's former name for old ones."""
        return super().state_key.replace(type(self).__qualname__, RunCheckpoint.__qualname__, 1)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock."""
        self._saved = time.monotonic()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, *batch: Any, **named: Any
    ) -> None:
        """Save if it is time to, or if training ends here, within an epoch."""
        loop = trainer.fit_loop.epoch_loop
        if loop.batch_progress.is_last_batch or loop._should_accumulate():
            return  # the first is soon saved anyway; the second would hold gradients, too
        stopped = trainer.should_stop and trainer.fit_loop._can_stop_early
        ends = loop._is_training_done or stopped
        if (ends or self._is_due(trainer, loop.batch_idx)) and not _validation_is_next(trainer):
            self._save(trainer)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save after a validation within an epoch."""
        if not trainer.fit_loop.epoch_loop.batch_progress.is_last_batch:
            self._save(trainer)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Save at the end of an epoch."""
        self._save(trainer)

    def _is_due(self, trainer: Trainer, batch_idx: int) -> bool:
        passed = time.monotonic() - self._saved >= 60 * self.minutes
        if trainer.world_size == 1:
            return passed or trainer.received_sigterm
        # Devices have to agree, and asking all of them in every batch would make them wait.
        return batch_idx % 100 == 0 and trainer.strategy.reduce_boolean_decision(passed, all=False)

    def _save(self, trainer: Trainer) -> None:
        if not self._should_skip_saving_checkpoint(trainer):
            self._save_topk_checkpoint(trainer, self._monitor_candidates(trainer))
            self._saved = time.monotonic()


def _validation_is_next(trainer: Trainer) -> bool:
    """Tell whether the training asks for a validation after the present batch."""
    loop = trainer.fit_loop.epoch_loop
    fetcher = trainer.fit_loop._data_fetcher
    assert fetcher is not None, "this is asked while training"
    stopping, trainer.should_stop = trainer.should_stop, False  # it asks for one of its own
    due = loop._should_check_val_fx(fetcher)
    trainer.should_stop = stopping
    return due


class ContinuedCSVLogger(CSVLogger):
    """``metrics.csv`` that keeps its earlier rows when a run is resumed.

    Lightning's own logger deletes the file of the interrupted run.

    Args:
        folder: the run's directory.
        resumed_from: the contents of the checkpoint that a run goes on from. Kept are the rows
            that had been logged by then.
    """

    def __init__(self, folder: Path, *, resumed_from: Mapping[str, Any] | None = None) -> None:
        super().__init__(folder, name="", version="")
        self.earlier: list[dict[str, Any]] = []
        path = folder / "metrics.csv"
        if resumed_from and path.is_file():
            end, unfinished = batches_stepped(resumed_from), unfinished_means(resumed_from)
            with path.open(newline="", encoding="utf-8") as file:
                for row in csv.DictReader(file):
                    logged = {k: v for k, v in row.items() if v != ""}
                    # A run that ended within an epoch has logged the means of its part of it.
                    partial = row["epoch"] == str(resumed_from["epoch"]) and unfinished & set(
                        logged
                    )
                    if int(row["step"]) < end and not partial:
                        self.earlier.append(logged)

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
    own: list[Callback] = [LastCheckpoint(folder)]
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
    counted = int(progress.get("_batches_that_stepped", checkpoint["global_step"]))
    return counted + within_epoch(checkpoint)  # there Lightning has yet to count the last one


def unfinished_means(checkpoint: Mapping[str, Any]) -> set[str]:
    """Name the means that are logged at the end of the epoch that a checkpoint lies within.

    Args:
        checkpoint: the contents of a checkpoint of a run.

    Returns:
        Their names; none if the checkpoint was written at the end of an epoch.
    """
    ranks = checkpoint.get(KEY, [{}])
    return set(ranks[0].get("means", {}))


def run_loggers(folder: Path, *, resumed_from: Mapping[str, Any] | None = None) -> list[Logger]:
    """Make the loggers that every run has.

    Args:
        folder: the run's directory.
        resumed_from: the contents of the checkpoint that the run goes on from, if it does.

    Returns:
        The logger of ``metrics.csv``, and TensorBoard's if that is installed.
    """
    loggers: list[Logger] = [ContinuedCSVLogger(folder, resumed_from=resumed_from)]
    if find_spec("tensorboard"):
        loggers.append(TensorBoardLogger(folder, name="tensorboard", version=""))
    return loggers
