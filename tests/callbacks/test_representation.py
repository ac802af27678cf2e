"""Callbacks that look at the representation while a method is training."""

import csv
import math
import warnings

import pytest
import torch
from pytorch_lightning import LightningDataModule, Trainer
from pytorch_lightning.loggers import CSVLogger
from torch import nn
from torch.utils.data import DataLoader

from lightning_stdim.callbacks import OnlineProbe, RepresentationHealth
from lightning_stdim.callbacks.representation_health import effective_rank
from lightning_stdim.datamodules.batches import SequenceBatch
from lightning_stdim.errors import ConfigurationError
from lightning_stdim.methods import SSLMethod
from lightning_stdim.probes import evaluate_encoder
from tests.probes.games import Shift, game
from tests.trainers import quiet

FRAMES = 600


class Pull(SSLMethod):
    """Pulls successive frames together, with nothing to keep the rest apart."""

    def __init__(self) -> None:
        super().__init__(encoder="tests.probes.games.Shift", lr=0.1)

    def loss(self, batch):
        past, present = map(self, batch.frames)
        return {"loss": (past - present).square().mean() + present.square().mean()}


class Game(LightningDataModule):
    def probe_data(self):
        return game(FRAMES)

    def _batches(self):
        frames = self.probe_data().frames[:64].unsqueeze(1)
        pairs = [torch.stack([frames[k : k + 8], frames[k + 1 : k + 9]]) for k in (0, 16, 32)]
        return DataLoader(
            [SequenceBatch(pair, torch.arange(8)) for pair in pairs], batch_size=None, shuffle=False
        )

    train_dataloader = val_dataloader = _batches


def fit(folder, *callbacks, epochs=3, checkpoint=None, **trainer):
    torch.manual_seed(0)
    model = Pull()
    trainer = quiet(
        max_epochs=epochs,
        callbacks=list(callbacks),
        logger=CSVLogger(folder, name="", version=""),
        num_sanity_val_steps=0,
        **trainer,
    )
    trainer.fit(model, datamodule=Game(), ckpt_path=checkpoint)
    trainer.save_checkpoint(folder / "last.ckpt")
    with (folder / "metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    logged = {
        name: [float(row[name]) for row in rows if row.get(name)] for name in rows[0] if "/" in name
    }
    return model, logged


def assert_changes_nothing(model, alone):
    """The encoder's dropout draws from the global generator, and its batch norm counts passes."""
    for name, value in alone.state_dict().items():
        assert torch.equal(model.state_dict()[name], value), name


def test_the_online_probe_changes_nothing_and_logs_the_probe_s_score(tmp_path):
    alone, _ = fit(tmp_path / "alone", epochs=2)
    model, logged = fit(tmp_path / "probed", OnlineProbe(frames=100_000), epochs=2)
    assert_changes_nothing(model, alone)
    # Of the very frames: the first five sixths of the training split, the rest, and validation.
    data = game(FRAMES)
    data.splits.update(train=torch.arange(300), val=torch.arange(300, 360), test=data.splits["val"])
    scores = evaluate_encoder(model.encoder, data, protocols=("converged",), progress=False)
    for metric in ("f1", "accuracy"):
        expected = scores["protocols"]["converged"][metric]["mean_over_categories"]
        assert len(logged[f"probe/{metric}"]) == 2
        assert logged[f"probe/{metric}"][-1] == pytest.approx(expected)


def test_the_online_probe_comes_every_n_epochs_and_at_the_end(tmp_path):
    _, logged = fit(tmp_path, OnlineProbe(every_n_epochs=2, frames=100), epochs=5)
    assert len(logged["probe/f1"]) == 3


def test_a_collapse_is_told_and_measured(tmp_path):
    with pytest.warns(UserWarning, match=r"effective rank of 12 features on 24 validation") as said:
        model, logged = fit(tmp_path, RepresentationHealth(least_rank=11), epochs=3)
    assert sum("collapsed" in str(one.message) for one in said) == 1
    with torch.no_grad():
        frames = game(FRAMES).frames.unsqueeze(1)
        batches = [frames[k + 1 : k + 9] for k in (0, 16, 32)]
        vectors = torch.cat([model.eval()(batch) for batch in batches]).double()
    values = torch.linalg.svdvals(vectors - vectors.mean(0))
    shares = values / values.sum()
    rank = math.exp(-sum(float(share) * math.log(share) for share in shares))
    assert logged["health/effective_rank"][-1] == pytest.approx(rank, rel=1e-4)
    deviations = vectors.std(0, correction=0)
    assert logged["health/deviation"][-1] == pytest.approx(float(deviations.mean()), rel=1e-4)
    assert logged["health/dead_units"] == [0, 0, 0]


def test_the_health_of_an_encoder_that_draws_changes_nothing(tmp_path, monkeypatch):
    original = Shift.forward
    monkeypatch.setattr(
        Shift, "forward", lambda self, frames: original(self, frames) * (1 + torch.rand(()))
    )
    alone, _ = fit(tmp_path / "alone")
    model, _ = fit(tmp_path / "watched", RepresentationHealth())
    assert_changes_nothing(model, alone)


@pytest.mark.parametrize("resumed", [False, True])
def test_a_collapse_towards_a_point_is_told_also_of_a_resumed_run(resumed, tmp_path):
    checkpoint = None
    if resumed:
        fit(tmp_path / "first", RepresentationHealth(), epochs=1)
        checkpoint = tmp_path / "first" / "last.ckpt"
    torch.manual_seed(0)
    frames = game(FRAMES).frames.unsqueeze(1)
    with torch.no_grad():  # both frames of the pairs of the first batch
        vectors = Pull().eval()(torch.cat([frames[:8], frames[1:9]]))
    before = vectors.std(0, correction=0).mean()
    health = RepresentationHealth(least_rank=0, least_deviation=0.5)
    with pytest.warns(UserWarning, match="collapsed or is about to: the features deviate") as said:
        _, logged = fit(tmp_path, health, epochs=4, checkpoint=checkpoint)
    (told,) = [str(one.message) for one in said if "collapsed" in str(one.message)]
    after = next(value for value in logged["health/deviation"] if value < 0.5 * before)
    assert f"by {after:.2g} over 24 validation frames, {after / before:.1%} of the" in told
    assert f"of the {before:.2g} before training" in told


def test_without_validation_or_from_where_no_one_looked_there_is_nothing_to_tell(tmp_path):
    fit(tmp_path / "first", RepresentationHealth(), epochs=1, limit_val_batches=0)
    fit(tmp_path / "other", epochs=1)  # as a run of before there was such a check
    health = RepresentationHealth(least_rank=0, least_deviation=0.5)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", "the representation has collapsed")
        fit(tmp_path, health, epochs=4, checkpoint=tmp_path / "other" / "last.ckpt")


@pytest.mark.parametrize("dead", [3, 9])
def test_dead_units_are_counted_and_many_told_of(dead, tmp_path, monkeypatch):
    original = Shift.forward
    monkeypatch.setattr(
        Shift,
        "forward",
        lambda self, frames: torch.cat(
            [original(self, frames)[:, dead:], torch.full((len(frames), dead), 7.3)], dim=1
        ),
    )
    with pytest.warns(UserWarning, match="collapsed") as said:
        model, logged = fit(tmp_path, RepresentationHealth(least_rank=12), epochs=1)
    assert logged["health/dead_units"] == pytest.approx([dead / 12])
    told = next(str(one.message) for one in said if "collapsed" in str(one.message))
    assert (f"Try a smaller learning rate than {model.lr}" in told) == (dead > 6)


def test_effective_rank_in_closed_form():
    spread = torch.cat([torch.eye(5), -torch.eye(5)])
    assert effective_rank(spread + 100) == pytest.approx(5, rel=1e-4)
    line = torch.arange(7.0)[:, None] * torch.tensor([1.0, 2, 3])
    assert effective_rank(line) == pytest.approx(1, abs=1e-3)
    assert effective_rank(torch.full((6, 4), 0.3)) == 0
    assert math.isnan(effective_rank(spread / 0))
    two = spread[:, :2] * torch.tensor([3.0, 1.0])
    entropy = -(0.75 * math.log(0.75) + 0.25 * math.log(0.25))
    assert effective_rank(two) == pytest.approx(math.exp(entropy))


def test_wrong_arguments_and_wrong_models(tmp_path):
    for callback, message in (
        (lambda: OnlineProbe(every_n_epochs=0), "every_n_epochs=0 must be at least 1"),
        (lambda: OnlineProbe(frames=3), "frames=3 at least 100"),
        (lambda: RepresentationHealth(batches=0), "batches=0 must be at least 1"),
        (lambda: RepresentationHealth(least_deviation=-1), "least_deviation=-1 at least 0"),
    ):
        with pytest.raises(ConfigurationError, match=message):
            callback()
    model = Pull()
    model.encoder = nn.Identity()
    del model.encoder
    trainer = Trainer(accelerator="cpu", callbacks=[OnlineProbe()], logger=False,
                      enable_checkpointing=False)  # fmt: skip
    with pytest.raises(ConfigurationError, match="OnlineProbe needs a model with an encoder"):
        trainer.fit(model, datamodule=Game())
