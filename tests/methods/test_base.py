"""What the base class does for every method, by a method whose losses are written in advance."""

import pickle
from copy import deepcopy

import pytest
import torch
from lightning_fabric import Fabric
from lightning_fabric.loggers import CSVLogger
from pytorch_lightning import Callback
from torch import nn
from torch.utils.data import DataLoader

from lightning_stdim import SSLMethod
from lightning_stdim.datamodules.batches import SequenceBatch
from lightning_stdim.errors import ConfigurationError
from tests.trainers import quiet

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
    trainer = quiet(max_epochs=EPOCHS)
    trainer.fit(method, loader, loader)
    assert trainer.current_epoch == epochs


class Constant(SSLMethod):
    """A loss that never changes."""

    monitor = None

    def __init__(self, warmup_steps):
        encoder = f"{__name__}.Encoder"
        super().__init__(encoder=encoder, lr=0.5, warmup_steps=warmup_steps)

    def loss(self, batch):
        return {"loss": self.encoder.weight.sum() * 0}


class LearningRates(Callback):
    def __init__(self):
        self.seen = []

    def on_before_optimizer_step(self, trainer, method, optimizer):
        self.seen.append(optimizer.param_groups[0]["lr"])


@pytest.mark.parametrize("interrupted", [False, True])
def test_the_learning_rate_rises_at_the_beginning(tmp_path, interrupted):
    batch = SequenceBatch(torch.zeros(2, 1, 1, 1, 1).byte(), torch.zeros(1).long())
    loader = DataLoader([batch] * 2, batch_size=None)
    rates, checkpoint = LearningRates(), None
    if interrupted:  # after one epoch of two steps
        first = quiet(max_epochs=1, callbacks=[rates])
        first.fit(Constant(3), loader)
        first.save_checkpoint(checkpoint := tmp_path / "first.ckpt")
    trainer = quiet(max_epochs=3, callbacks=[rates])
    trainer.fit(Constant(3), loader, ckpt_path=checkpoint, weights_only=True)
    assert rates.seen == pytest.approx([0.125, 0.25, 0.375, 0.5, 0.5, 0.5])


def test_a_warm_up_has_a_whole_number_of_steps():
    with pytest.raises(ConfigurationError, match=r"model.warmup_steps=-1 must be at least 0"):
        Constant(-1)


class Measured(Scripted):
    """The loss of a batch is its first pixel; there is a second term where that is even."""

    def loss(self, batch):
        value = self.encoder.weight.sum() * 0 + batch.frames.flatten()[0] + 10 * self.current_epoch
        return {"loss": value} | ({"even": value.detach() * 10} if value % 2 == 0 else {})


class Kept(Callback):
    """What callbacks can read at the end of every epoch; an interruption within one."""

    def __init__(self, interrupt_at=None):
        self.logged = []
        self.interrupt_at = interrupt_at

    def on_train_batch_end(self, trainer, method, *_):
        if trainer.global_step == self.interrupt_at:
            trainer.save_checkpoint("interrupted.ckpt")
            raise RuntimeError("interrupted")

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
    trainer = quiet(max_epochs=2, callbacks=kept, val_check_interval=2)
    method = Measured()
    trainer.fit(method, of_pixels((1, 1), (2, 3), (4, 6)), of_pixels((7, 2), (9, 4)))
    first = {"train/loss": (1 + 6 + 24) / 10, "train/even": (60 + 240) / 9}
    first["val/loss"] = (14 + 36) / 6
    second = {"train/loss": first["train/loss"] + 10, "train/even": first["train/even"] + 100}
    second["val/loss"] = first["val/loss"] + 10
    assert kept.logged == [pytest.approx(first), pytest.approx(second)]
    # Another loop of the same module begins afresh.
    trainer = quiet()
    (found,) = trainer.validate(method, of_pixels((3, 5), (4, 5)), verbose=False)
    assert found == pytest.approx({"val/loss": 3.5, "val/even": 40})
    (found,) = trainer.validate(method, of_pixels((3, 5), (8, 5)), verbose=False)
    assert found == pytest.approx({"val/loss": 5.5, "val/even": 80})
    (found,) = trainer.test(method, of_pixels((8, 5), (1, 5)), verbose=False)
    assert found == pytest.approx({"test/loss": 4.5, "test/even": 80})


def test_after_an_interruption_the_whole_epoch_s_means_are_logged(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    loader = of_pixels((1, 1), (3, 3), (5, 1), (7, 3))
    method = Measured()
    with pytest.raises(RuntimeError, match="interrupted"):
        quiet(max_epochs=1, callbacks=Kept(interrupt_at=2)).fit(method, loader)
    for resumed in (method, Measured()):
        kept = Kept()
        quiet(max_epochs=1, callbacks=kept).fit(resumed, loader, ckpt_path="interrupted.ckpt")
        # Two batches are left; PyTorch's own loader gives them from its beginning.
        assert kept.logged == [pytest.approx({"train/loss": (1 + 9 + 1 + 9) / 8})]


@pytest.mark.parametrize("precision", ["bf16-true", "16-true", "bf16-mixed", "64-true"])
def test_means_over_many_batches_are_exact_in_any_precision(precision):
    trainer = quiet(precision=precision)
    (found,) = trainer.validate(Measured(), of_pixels(*[(120, 64)] * 1100), verbose=False)
    assert found == {"val/loss": 120, "val/even": 1200}


def test_a_copy_of_a_module_begins_afresh():
    method = Measured()
    quiet(max_epochs=1).fit(method, of_pixels((1, 1), (3, 1)))
    for copy in (deepcopy(method), pickle.loads(pickle.dumps(method))):
        kept = Kept()
        quiet(max_epochs=1, callbacks=kept).fit(copy, of_pixels((5, 1)))
        assert kept.logged == [{"train/loss": 5}]


def test_with_fabric_every_step_s_terms_are_logged(tmp_path):
    logger = CSVLogger(tmp_path)
    method = Fabric(accelerator="cpu", loggers=logger).setup(Measured())
    method.training_step(next(iter(of_pixels((3, 2)))), 0)
    logger.save()
    assert "train/loss" in next(tmp_path.rglob("metrics.csv")).read_text()
