"""What the timer of an epoch's parts records."""

import time

from pytorch_lightning import Callback

from lightning_stdim import AtariDataModule
from lightning_stdim.callbacks import StepTimer
from lightning_stdim.methods import STDIM, RandomCNN
from lightning_stdim.utils import timings
from tests.trainers import quiet

BATCHES, VALIDATED, SECONDS = 3, 2, 0.2


class Sleep(Callback):
    """Makes every training step take a known time at least; validation steps take half of it."""

    def on_train_batch_end(self, *_) -> None:
        time.sleep(SECONDS)

    def on_validation_batch_start(self, *_) -> None:
        time.sleep(SECONDS / 2)


def fit(model, small, path):
    trainer = quiet(
        max_epochs=1,
        limit_train_batches=BATCHES,
        limit_val_batches=VALIDATED,
        num_sanity_val_steps=0,
        callbacks=[Sleep(), StepTimer()],
    )
    with timings.written_to(path):
        trainer.fit(model, datamodule=AtariDataModule("pong", **small, batch_size=8))
    return timings.read(path)


def test_an_epoch_is_divided_into_its_parts(small, tmp_path):
    started = time.monotonic()
    parts = fit(STDIM(), small, tmp_path / "record")
    whole = time.monotonic() - started
    (found,) = (part for part in parts if part["part"] == "fit")
    assert (found["stage"], found["frames_per_step"], found["device"]) == ("pretrain", 8, "cpu")
    assert found["parameters"] == sum(p.numel() for p in STDIM().parameters())
    # By frame, of which a batch has eight: at least the sleep, and together no more than there was.
    assert found["training"] * 8 >= SECONDS
    assert found["validation"] * 8 >= SECONDS / 2
    steps = 8 * (BATCHES * found["training"] + VALIDATED * found["validation"])
    assert steps + found["epoch"] <= whole


def test_nothing_is_recorded_where_nothing_is_trained_or_nobody_asks(small, tmp_path):
    parts = fit(RandomCNN(), small, tmp_path / "record")
    assert [part for part in parts if part["part"] == "fit"] == []
    quiet(max_steps=1, limit_val_batches=0, callbacks=[StepTimer()]).fit(
        STDIM(), datamodule=AtariDataModule("pong", **small, batch_size=8)
    )
    assert len(timings.read(tmp_path / "record")) == len(parts)
