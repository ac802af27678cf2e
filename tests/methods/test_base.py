"""What the base class does for every method, by a method whose losses are written in advance."""

import pytest
import torch
from lightning import Callback, Trainer
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


class Measured(Scripted):
    """The loss of a batch is its first pixel; there is a second term where that is even."""

    def loss(self, batch):
        value = self.encoder.weight.sum() * 0 + batch.frames.flatten()[0]
        return {"loss": value} | ({"even": value.detach() * 10} if value % 2 == 0 else {})


class Kept(Callback):
    """What callbacks can read at the end of every epoch."""

    def __init__(self):
        self.logged = []

    def on_train_epoch_end(self, trainer, *_):
        self.logged.append({name: float(value) for name, value in trainer.callback_metrics.items()})


def of_pixels(*pixels_and_sizes):
    batches = [
        SequenceBatch(torch.full((2, size, 1, 1, 1), pixel).byte(), torch.arange(size))
        for pixel, size in pixels_and_sizes
    ]
    return DataLoader(batches, batch_size=None)


def test_what_a_loss_returns_is_logged_as_means_over_the_epoch():
    kept = Kept()
    trainer = Trainer(
        accelerator="cpu",
        max_epochs=2,
        logger=False,
        callbacks=kept,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    method = Measured()
    trainer.fit(method, of_pixels((1, 1), (2, 3), (4, 6)), of_pixels((7, 2), (9, 4)))
    train = {"train/loss": (1 + 6 + 24) / 10, "train/even": (60 + 240) / 9}
    assert kept.logged == [pytest.approx({**train, "val/loss": (14 + 36) / 6})] * 2
    # Another loop of the same module begins afresh.
    (found,) = trainer.validate(method, of_pixels((3, 5)), verbose=False)
    assert found == {"val/loss": 3}
    (found,) = trainer.test(method, of_pixels((8, 5), (1, 5)), verbose=False)
    assert found == pytest.approx({"test/loss": 4.5, "test/even": 80})
