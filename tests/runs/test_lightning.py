"""Checkpoints, and what a resumed run keeps of its log."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest
import torch
from pytorch_lightning import Callback, LightningModule, Trainer, seed_everything

from lightning_stdim.probes import Supervised
from lightning_stdim.runs.lightning import batches_stepped, run_callbacks, run_loggers
from tests.probes.test_supervised import ENCODER, Games
from tests.trainers import quiet


class Save(Callback):
    """Writes a checkpoint after the first epoch."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.current_epoch == 0:
            trainer.save_checkpoint(self.path)


@pytest.mark.parametrize("optimizers", ["shared", "per_variable"])
def test_what_was_logged_after_the_checkpoint_is_replaced(tmp_path: Path, optimizers: Any) -> None:
    """Also where every batch is several optimiser steps."""
    checkpoint = tmp_path / "first.ckpt"

    def logged(resumed_from: Any = None, **kwargs: Any) -> list[dict[str, str]]:
        seed_everything(0)
        model = Supervised(encoder=ENCODER, lr=1e-2, optimizers=optimizers)
        loggers = run_loggers(tmp_path, resumed_from=resumed_from)[:1]
        callbacks = [] if resumed_from else [Save(checkpoint)]
        fitting = quiet(max_epochs=3, logger=loggers, callbacks=callbacks, num_sanity_val_steps=0)
        fitting.fit(model, datamodule=Games(), **kwargs)
        with (tmp_path / "metrics.csv").open(newline="") as file:
            return list(csv.DictReader(file))

    whole = logged()
    contents = torch.load(checkpoint, weights_only=True)
    assert batches_stepped(contents) == 6  # 180 frames in batches of 32
    assert contents["global_step"] == (6 if optimizers == "shared" else 6 * 3)
    assert logged(contents, ckpt_path=checkpoint, weights_only=True) == whole


@pytest.mark.parametrize("patience", [15, None])
def test_the_last_checkpoint_is_every_epoch_s_and_the_best_stays(
    tmp_path: Path, patience: int | None
) -> None:
    seed_everything(0)
    model = Supervised(encoder=ENCODER, lr=0.3, patience=patience)  # gets better and worse
    folder = tmp_path / "checkpoints"
    errors, kept = [], []

    class Look(Callback):
        def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
            errors.append(trainer.callback_metrics["val/error"].item())

        def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
            kept.append({path.stem: epoch_of(path) for path in folder.glob("*")})

    callbacks = [*run_callbacks(tmp_path, model, []), Look()]
    fitting = quiet(max_epochs=6, callbacks=callbacks, enable_checkpointing=True)
    fitting.fit(model, datamodule=Games())
    assert errors.index(min(errors)) < 5, "this test wants a run that got worse"
    for done in range(1, 6):
        best = errors.index(min(errors[:done]))
        expected = {"last": done - 1} if patience is None else {"last": done - 1, "best": best}
        assert kept[done] == expected


def epoch_of(checkpoint: Path) -> int:
    number: int = torch.load(checkpoint, weights_only=True)["epoch"]
    return number
