"""Lightning's searches for a batch size and a learning rate."""

import pytest
import torch
from pytorch_lightning import seed_everything
from pytorch_lightning.callbacks import BatchSizeFinder, LearningRateFinder
from pytorch_lightning.tuner import Tuner

from lightning_stdim import AtariDataModule
from lightning_stdim.errors import ConfigurationError
from lightning_stdim.probes import Supervised
from tests.runs.test_resume_within_epoch import ENCODER, Noisy, Seen
from tests.trainers import quiet

MODELS = {"sequences": Noisy, "frames": Supervised}


def data(small, **options):
    return AtariDataModule("breakout", **small, **options)


def trainer(tmp_path, **options):
    limits = {"max_epochs": 1, "limit_train_batches": 3, "limit_val_batches": 1}
    return quiet(**limits | options, num_sanity_val_steps=0, default_root_dir=tmp_path)


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("given", [None, 16])
@pytest.mark.parametrize("mode", ["power", "binsearch"])
def test_a_batch_size_is_found(kind, given, mode, small, tmp_path):
    module, model = data(small, batch_size=given), MODELS[kind](encoder=ENCODER)
    options = {"mode": mode, "max_trials": 3, "steps_per_trial": 1, "margin": 0.0}
    found = Tuner(trainer(tmp_path)).scale_batch_size(model, datamodule=module, **options)
    assert found == module.batch_size == module.hparams["batch_size"] == 8  # 2, 4, 8


def test_training_after_the_search_is_as_if_the_size_had_been_given(small, tmp_path):
    def run(*finders, **options):
        seed_everything(0)
        seen, model = Seen(), Noisy(encoder=ENCODER)
        fitting = trainer(tmp_path, callbacks=[*finders, seen], max_epochs=2)
        fitting.fit(model, datamodule=data(small, **options))
        return seen.batches, model.state_dict()

    batches, weights = run(BatchSizeFinder(max_trials=3, steps_per_trial=1))
    expected, same = run(batch_size=8)
    assert batches == expected
    for name, value in weights.items():
        assert torch.equal(value, same[name])


def test_a_batch_size_that_the_data_cannot_fill_is_told_with_the_largest(small, tmp_path):
    tuner = Tuner(trainer(tmp_path))
    with pytest.raises(ConfigurationError, match=r"smaller batch_size, at most \d+"):
        tuner.scale_batch_size(
            Noisy(encoder=ENCODER), datamodule=data(small), init_val=256, steps_per_trial=1
        )


@pytest.mark.parametrize("kind", MODELS)
def test_a_learning_rate_is_found(kind, small, tmp_path):
    model = MODELS[kind](encoder=ENCODER)
    finder = LearningRateFinder(num_training_steps=18, early_stop_threshold=None)
    fitting = trainer(tmp_path, callbacks=[finder], limit_train_batches=18)
    fitting.fit(model, datamodule=data(small, batch_size=8))
    assert model.lr == model.hparams["lr"] == finder.optimal_lr.suggestion() != 3e-4
    assert fitting.optimizers[0].param_groups[0]["lr"] == model.lr


@pytest.mark.parametrize("wrong", [0, 2.5])
def test_a_batch_size_is_checked_when_it_is_set(wrong):
    with pytest.raises(ConfigurationError, match=r"data\.batch_size"):
        AtariDataModule().batch_size = wrong
