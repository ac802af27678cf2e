"""What a resumed run keeps of its log."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest
import torch
from pytorch_lightning import Callback, LightningModule, Trainer, seed_everything

from lightning_stdim.probes import Supervised
from lightning_stdim.runs.lightning import batches_stepped, run_loggers
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

    def logged(resume_step: int = 0, **kwargs: Any) -> list[dict[str, str]]:
        seed_everything(0)
        model = Supervised(encoder=ENCODER, lr=1e-2, optimizers=optimizers)
        loggers = run_loggers(tmp_path, resume_step=resume_step)[:1]
        callbacks = [] if resume_step else [Save(checkpoint)]
        fitting = quiet(max_epochs=3, logger=loggers, callbacks=callbacks, num_sanity_val_steps=0)
        fitting.fit(model, datamodule=Games(), **kwargs)
        with (tmp_path / "metrics.csv").open(newline="") as file:
            return list(csv.DictReader(file))

    whole = logged()
    contents = torch.load(checkpoint, weights_only=True)
    assert batches_stepped(contents) == 6  # 180 frames in batches of 32
    assert contents["global_step"] == (6 if optimizers == "shared" else 6 * 3)
    assert logged(batches_stepped(contents), ckpt_path=checkpoint, weights_only=True) == whole
