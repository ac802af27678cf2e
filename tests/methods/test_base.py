"""What the base class does for every method, by a method whose losses are written in advance."""

import pytest
import torch
from lightning import Trainer
from torch import nn
from torch.utils.data import DataLoader

from lightning_stdim import SSLMethod
from lightning_stdim.datamodules.batches import SequenceBatch

EPOCHS, PATIENCE = 8, 2


class Encoder(nn.Linear):
    def __init__(self):
        super().__init__(1, 1)


class Scripted(SSLMethod):
    """The loss falls from epoch to epoch, the error does not."""

    def __init__(self):
        super().__init__(encoder=f"{__name__}.Encoder", patience=PATIENCE)

    def loss(self, batch):
        loss = self.encoder.weight.sum() * 0 + 10.0 - self.current_epoch
        return {"loss": loss, "error": torch.tensor(0.5)}


@pytest.mark.parametrize(
    ("monitor", "epochs"), [("val/loss", EPOCHS), ("val/error", 1 + PATIENCE), (None, EPOCHS)]
)
def test_the_monitor_decides_when_to_stop(monitor, epochs):
    method = Scripted()
    method.monitor = monitor
    batch = SequenceBatch(torch.zeros(2, 1, 1, 1, 1).byte(), torch.zeros(1).long())
    loader = DataLoader([batch], batch_size=None)
    trainer = Trainer(
        accelerator="cpu",
        max_epochs=EPOCHS,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(method, loader, loader)
    assert trainer.current_epoch == epochs
