"""Snapshots are the weights after exactly N optimiser steps, however a run gets there."""

import logging

import pytest
import torch
from pytorch_lightning import LightningModule
from torch.utils.data import DataLoader

from lightning_stdim.callbacks import Snapshots
from lightning_stdim.errors import ConfigurationError
from tests.trainers import quiet

RATE, BATCHES = 0.1, 6
TARGETS = torch.randn(BATCHES, 3, generator=torch.Generator().manual_seed(0))


class Follow(LightningModule):
    """Weights that follow the targets: SGD's steps are w <- w + rate (target - w)."""

    def __init__(self):
        super().__init__()
        self.weights = torch.nn.Parameter(torch.zeros(3))

    def training_step(self, batch, batch_idx):
        return ((self.weights - batch) ** 2).sum() / 2

    def validation_step(self, batch, batch_idx):
        pass

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=RATE)

    def train_dataloader(self):
        return DataLoader(TARGETS, batch_size=None)

    val_dataloader = train_dataloader


class FollowTwice(Follow):
    """Two optimiser steps for every batch."""

    automatic_optimization = False

    def training_step(self, batch, batch_idx):
        for optimizer in self.optimizers():
            optimizer.zero_grad()
            self.manual_backward(super().training_step(batch, batch_idx))
            optimizer.step()

    def configure_optimizers(self):
        return [super(FollowTwice, self).configure_optimizers() for _ in range(2)]


def after(steps, *, batches_per_step=1, steps_per_batch=1):
    """The weights by hand."""
    weights = torch.zeros(3)
    for step in range(steps):
        first = step // steps_per_batch * batches_per_step
        batch = torch.stack([TARGETS[(first + k) % BATCHES] for k in range(batches_per_step)])
        weights = weights + RATE * (batch.mean(0) - weights)
    return weights


def read(folder):
    return {
        int(path.stem.removeprefix("step")): torch.load(path, weights_only=True)
        for path in folder.iterdir()
    }


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"val_check_interval": 2},
        {"accumulate_grad_batches": 2, "max_epochs": 4},
        {"check_val_every_n_epoch": 2},
    ],
)
def test_weights_by_hand(options, tmp_path):
    trainer = quiet(**{"max_epochs": 2} | options, callbacks=[Snapshots(tmp_path, [0, 1, 5, 7])])
    trainer.fit(Follow())
    found = read(tmp_path)
    assert set(found) == {0, 1, 5, 7}
    for step, contents in found.items():
        expected = after(step, batches_per_step=options.get("accumulate_grad_batches", 1))
        torch.testing.assert_close(contents["state_dict"]["weights"], expected)
        assert contents["global_step"] == step
        assert "optimizer_states" not in contents


def test_a_batch_of_several_steps_is_not_divided(tmp_path, caplog):
    with caplog.at_level(logging.INFO):
        quiet(max_epochs=1, callbacks=[Snapshots(tmp_path, [2, 5, 12])]).fit(FollowTwice())
    assert "no snapshot" not in caplog.text
    found = read(tmp_path)
    for name, step in {2: 2, 5: 6, 12: 12}.items():
        assert found[name]["global_step"] == step
        expected = after(step, steps_per_batch=2)
        torch.testing.assert_close(found[name]["state_dict"]["weights"], expected)


def test_a_resumed_run_writes_what_is_to_come_and_says_what_is_not(tmp_path, caplog):
    folder, state = tmp_path / "snapshots", tmp_path / "state.ckpt"
    first = quiet(max_epochs=1, callbacks=[Snapshots(folder, [4])])
    first.fit(Follow())
    first.save_checkpoint(state)
    written = (folder / "step4.ckpt").stat().st_mtime_ns
    with caplog.at_level(logging.INFO):
        second = quiet(max_epochs=2, callbacks=[Snapshots(folder, [0, 3, 4, 6, 11])])
        second.fit(Follow(), ckpt_path=state, weights_only=True)
    found = read(folder)
    assert set(found) == {4, 6, 11}
    assert (folder / "step4.ckpt").stat().st_mtime_ns == written
    for step, contents in found.items():
        torch.testing.assert_close(contents["state_dict"]["weights"], after(step))
    assert "no snapshot of step 0, 3: this run goes on from step 6" in caplog.text


@pytest.mark.parametrize(
    ("options", "steps", "said"),
    [
        ({"max_epochs": 1}, [2, 7, 99], "no snapshot of step 7, 99: training ends after 6 steps"),
        # Not known before: time is up at the end of the first epoch.
        (
            {"max_epochs": 9, "max_time": {"microseconds": 1}},
            [2, 30],
            "no snapshot of step 2, 30: training has ended after",
        ),
    ],
)
def test_steps_that_training_does_not_reach_are_named(options, steps, said, tmp_path, caplog):
    with caplog.at_level(logging.INFO):
        quiet(**options, callbacks=[Snapshots(tmp_path, steps)]).fit(Follow())
    assert caplog.text.count("no snapshot") == 1
    assert said in caplog.text


def test_wrong_steps(tmp_path):
    for steps, said in (
        ([-1], "at least 0"),
        ([3, 3], "3 is given twice"),
        ([4, 2], "2 follows 4"),
    ):
        with pytest.raises(ConfigurationError, match=said):
            Snapshots(tmp_path, steps)
