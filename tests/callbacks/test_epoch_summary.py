"""A line per epoch, in a terminal, too, where a progress bar is drawn."""

from __future__ import annotations

import os
import pty
import re
import threading

import pytest
import torch
from pytorch_lightning import LightningModule
from pytorch_lightning.callbacks import RichProgressBar, TQDMProgressBar

from lightning_stdim.callbacks import PrintEpochSummary
from lightning_stdim.runs.lightning import run_callbacks
from tests.trainers import quiet

LINE = r"epoch {} of at most 2, \d+ s: val/loss 0\.5, train/loss {}"


class Model(LightningModule):
    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(()))

    def training_step(self, batch, batch_idx):
        loss = self.weight * 0 + self.current_epoch + 3
        self.log("train/loss", loss, on_step=False, on_epoch=True)
        return loss

    def validation_step(self, batch, batch_idx):
        self.log("val/loss", 0.5)

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


def fit(bar, folder):
    kept = [c for c in run_callbacks(folder, Model(), []) if isinstance(c, PrintEpochSummary)]
    batches = torch.utils.data.DataLoader(range(4))
    trainer = quiet(max_epochs=2, callbacks=[*bar, *kept], enable_progress_bar=bool(bar))
    trainer.fit(Model(), batches, batches)


@pytest.mark.parametrize("kind", [RichProgressBar, TQDMProgressBar, None])
def test_a_terminal_shows_the_losses(kind, tmp_path, monkeypatch):
    here, there = pty.openpty()
    shown = bytearray()

    def read():
        while True:
            try:
                part = os.read(here, 4096)
            except OSError:  # its other end is closed
                return
            shown.extend(part)

    reader = threading.Thread(target=read)
    reader.start()
    with monkeypatch.context() as patched, open(there, "w") as terminal:
        for name in ("stdout", "stderr"):
            patched.setattr(f"sys.{name}", terminal)
        patched.setenv("TERM", "xterm")
        patched.setenv("COLUMNS", "100")
        fit([kind()] if kind else [], tmp_path)
    reader.join(timeout=20)
    lines = re.split(r"[\r\n]|\x1b\[\d*[A-Za-z]", shown.decode())
    for epoch, loss in ((1, 3), (2, 4)):
        assert any(re.fullmatch(LINE.format(epoch, loss), line.strip()) for line in lines), lines


def test_a_file_has_them_as_well(tmp_path, capsys):
    fit([], tmp_path)
    said = capsys.readouterr().out.splitlines()
    assert [bool(re.fullmatch(LINE.format(k + 1, k + 3), said[k])) for k in (0, 1)] == [True, True]
