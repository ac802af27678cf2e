import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from pytorch_lightning import (
    Callback,
    LightningDataModule,
    LightningModule,
    Trainer,
    seed_everything,
)
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader

from lightning_stdim.callbacks import PerVariableEarlyStopping, PerVariableReduceLROnPlateau
from lightning_stdim.datamodules.batches import ProbeBatch, ProbeData
from lightning_stdim.errors import ConfigurationError, EncoderError, TrainingError
from lightning_stdim.probes import Supervised
from lightning_stdim.probes.supervised import Optimizers
from tests.probes.games import game
from tests.trainers import quiet


class Games(LightningDataModule):
    def __init__(self, data: ProbeData | None = None) -> None:
        super().__init__()
        self.data = data or game()

    def probe_data(self) -> ProbeData:
        return self.data

    def loader(self, split: Any) -> DataLoader[Any]:
        index = self.data.splits[split]
        batches = [
            ProbeBatch(self.data.frames[part].unsqueeze(1), self.data.labels[part])
            for part in torch.split(index, 32)
        ]
        return DataLoader(batches, batch_size=None)  # type: ignore[arg-type]

    def train_dataloader(self) -> DataLoader[Any]:
        return self.loader("train")

    def val_dataloader(self) -> DataLoader[Any]:
        return self.loader("val")

    def test_dataloader(self) -> DataLoader[Any]:
        return self.loader("test")


class Encoder(nn.Sequential):
    def __init__(self, width: int = 16) -> None:
        super().__init__(Scale(), nn.Linear(48, 32), nn.ReLU(), nn.Linear(32, width))


class Scale(nn.Module):
    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        return frames.flatten(1) / 255


ENCODER = f"{__name__}:Encoder"


def trainer(epochs: int, *callbacks: Callback, **kwargs: Any) -> Trainer:
    return quiet(max_epochs=epochs, callbacks=list(callbacks), num_sanity_val_steps=0, **kwargs)


@pytest.mark.parametrize("own", [False, True])
def test_learns_what_the_pixels_show(own: bool) -> None:
    seed_everything(0)
    model = Supervised(encoder=ENCODER, lr=1e-2, per_variable_encoder=own)
    fitting = trainer(25)
    fitting.fit(model, datamodule=Games())
    logged = fitting.callback_metrics
    assert {"train/loss", "val/f1", "val/accuracy", "val/error"} <= set(logged)
    fitting.test(model, datamodule=Games(), verbose=False)
    scores = model.scores()
    assert json.loads(json.dumps(scores.to_dict(), allow_nan=False)) == scores.to_dict()
    table = scores["protocols"]["supervised"]["accuracy"]
    assert table["variables"]["x"] > 0.8  # chance is 0.125
    assert fitting.callback_metrics["test/accuracy"].item() == pytest.approx(
        table["mean_over_variables"], rel=1e-5
    )


def test_ends_with_the_best_weights_not_the_last() -> None:
    seed_everything(0)
    history: list[float] = []

    class Record(Callback):
        def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
            history.append(pl_module.unit_scores["all"])  # type: ignore[operator, index]

    model = Supervised(encoder=ENCODER, lr=0.3, patience=3)  # a rate at which it does collapse
    fitting = trainer(30, Record())
    fitting.fit(model, datamodule=Games())
    assert len(history) < 30, "it should have stopped early"
    assert history[-1] < max(history), "this test wants a run that got worse"
    (validated,) = trainer(1).validate(model, datamodule=Games(), verbose=False)
    assert validated["val/accuracy"] == pytest.approx(max(history))


def test_encoders_of_their_own_equal_runs_with_one_variable() -> None:
    data = game()

    def weights(variables: list[int]) -> list[torch.Tensor]:
        seed_everything(0)
        part = ProbeData(
            **{
                **vars(data),
                "variables": tuple(data.variables[v] for v in variables),
                "labels": data.labels[:, variables],
            }
        )
        model = Supervised(encoder=ENCODER, lr=1e-2, per_variable_encoder=True)
        trainer(3).fit(model, datamodule=Games(part))
        return list(model.units[data.variables[variables[-1]]].parameters())

    for ours, alone in zip(weights([0, 1]), weights([1]), strict=True):
        torch.testing.assert_close(ours, alone, rtol=1e-4, atol=1e-5)


def test_shared_loss_is_the_mean_of_cross_entropies() -> None:
    model = Supervised(encoder=ENCODER)
    data = Games()
    trainer(1, limit_train_batches=0, limit_val_batches=0).fit(model, datamodule=data)
    model.log = lambda *args, **kwargs: None  # type: ignore[method-assign]
    batch = next(iter(data.train_dataloader()))
    features = model.encoder(batch.frames)
    terms = [
        F.cross_entropy(head(features), batch.labels[:, v])
        for v, head in enumerate(model.heads.heads)
    ]
    expected = torch.stack(terms).mean()
    torch.testing.assert_close(model.training_step(batch, 0), expected)


@pytest.mark.parametrize(
    ("optimizers", "patience"), [("shared", 2), ("per_variable", 2), ("per_variable", None)]
)
def test_resuming_gives_what_an_uninterrupted_run_gives(
    tmp_path: Path, optimizers: Optimizers, patience: int | None
) -> None:
    def fitted(epochs: int, *callbacks: Callback, **kwargs: Any) -> Supervised:
        seed_everything(0)
        model = Supervised(encoder=ENCODER, lr=0.1, patience=patience, optimizers=optimizers)
        trainer(epochs, *callbacks).fit(model, datamodule=Games(), **kwargs)
        return model

    whole = fitted(8)

    class Save(Callback):
        def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
            trainer.save_checkpoint(tmp_path / "cut.ckpt")

    fitted(2, Save())
    resumed = fitted(8, ckpt_path=tmp_path / "cut.ckpt", weights_only=True)
    for ours, expected in zip(resumed.parameters(), whole.parameters(), strict=True):
        torch.testing.assert_close(ours, expected, rtol=0, atol=0)


def stepped_in_turn(model: Supervised, epochs: int, lr: float, eps: float) -> list[float]:
    """Train by hand, one Adam per variable; give the last epoch's mean loss of each variable."""
    heads = list(model.heads.heads)
    adams = [
        torch.optim.Adam([*model.encoder.parameters(), *head.parameters()], lr=lr, eps=eps)
        for head in heads
    ]
    for _ in range(epochs):
        sums, frames = [0.0] * len(heads), 0
        for batch in Games().train_dataloader():
            frames += len(batch.labels)
            for v, (head, adam) in enumerate(zip(heads, adams, strict=True)):
                loss = F.cross_entropy(head(model.encoder(batch.frames)), batch.labels[:, v])
                sums[v] += loss.item() * len(batch.labels)
                model.zero_grad()  # of all, so that no gradient of another variable is left
                loss.backward()
                adam.step()
    return [total / frames for total in sums]


def test_one_optimiser_per_variable_steps_the_shared_encoder_in_turn() -> None:
    seed_everything(0)
    settings: dict[str, Any] = {"encoder": ENCODER, "lr": 1e-2, "eps": 1e-8, "patience": None}
    model = Supervised(**settings, optimizers="per_variable")
    expected = Supervised(**settings)
    trainer(0).fit(expected, datamodule=Games())  # makes the heads
    trainer(0).fit(model, datamodule=Games())
    expected.load_state_dict(model.state_dict())
    fitting = trainer(3)
    fitting.fit(model, datamodule=Games())
    losses = stepped_in_turn(expected, 3, lr=1e-2, eps=1e-8)
    for ours, by_hand in zip(model.parameters(), expected.parameters(), strict=True):
        torch.testing.assert_close(ours, by_hand, rtol=1e-4, atol=1e-5)
    logged = fitting.callback_metrics
    names = ("x", "y", "keys")
    assert [logged[f"train/loss/{name}"].item() for name in names] == pytest.approx(
        losses, rel=1e-4
    )
    assert logged["train/loss"].item() == pytest.approx(sum(losses) / 3, rel=1e-4)
    # Every step counts: 3 epochs of 6 batches, 3 variables.
    assert fitting.global_step == 3 * 6 * 3
    assert fitting.fit_loop.total_batch_idx + 1 == 3 * 6


def test_one_optimiser_per_variable_of_a_single_variable_is_plain_training() -> None:
    data = game()
    one = ProbeData(**{**vars(data), "variables": ("x",), "labels": data.labels[:, :1]})

    def weights(optimizers: Optimizers) -> list[torch.Tensor]:
        seed_everything(0)
        model = Supervised(encoder=ENCODER, lr=1e-2, optimizers=optimizers)
        trainer(2).fit(model, datamodule=Games(one))
        return list(model.parameters())

    for ours, plain in zip(weights("per_variable"), weights("shared"), strict=True):
        torch.testing.assert_close(ours, plain, rtol=0, atol=0)


def test_one_optimiser_per_variable_in_bfloat16() -> None:
    seed_everything(0)
    model = Supervised(encoder=ENCODER, lr=1e-2, optimizers="per_variable")
    fitting = trainer(25, precision="bf16-mixed")
    fitting.fit(model, datamodule=Games())
    assert fitting.callback_metrics["val/f1/x"] > 0.8
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}


def test_a_plateau_slows_down_every_optimiser() -> None:
    model = Supervised(encoder=ENCODER, lr=0.3, optimizers="per_variable")
    fitting = trainer(6, PerVariableReduceLROnPlateau(patience=0))
    fitting.fit(model, datamodule=Games())
    rates = [group["lr"] for adam in fitting.optimizers for group in adam.param_groups]
    assert len(rates) == 3
    assert len(set(rates)) == 1
    assert rates[0] < 0.3


@pytest.mark.parametrize("optimizers", ["shared", "per_variable"])
def test_without_patience_every_epoch_is_trained_and_the_last_weights_stay(
    optimizers: Optimizers,
) -> None:
    seed_everything(0)
    history: list[float] = []

    class Record(Callback):
        def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
            history.append(trainer.callback_metrics["val/accuracy"].item())

    model = Supervised(encoder=ENCODER, lr=0.3, patience=None, optimizers=optimizers)
    fitting = trainer(20, Record())
    fitting.fit(model, datamodule=Games())
    assert len(history) == 20
    assert {group["lr"] for adam in fitting.optimizers for group in adam.param_groups} == {0.3}
    assert model.monitor is None
    assert history[-1] < max(history), "this test wants a run that got worse"
    (validated,) = trainer(1).validate(model, datamodule=Games(), verbose=False)
    assert validated["val/accuracy"] == pytest.approx(history[-1])


def test_the_trainer_s_own_callbacks_win() -> None:
    given = PerVariableEarlyStopping(patience=1)
    fitting = trainer(1, given)
    fitting.fit(Supervised(encoder=ENCODER), datamodule=Games())
    found = [c for c in fitting.callbacks if isinstance(c, PerVariableEarlyStopping)]  # type: ignore[attr-defined]
    assert found == [given]


def test_wrong_use() -> None:
    with pytest.raises(ConfigurationError, match="before trainer"):
        Supervised(encoder=ENCODER).scores()
    with pytest.raises(ConfigurationError, match="probe_data"):
        trainer(1).fit(Supervised(encoder=ENCODER), Games().train_dataloader())
    with pytest.raises(TrainingError, match="nan"):
        trainer(3).fit(Supervised(encoder=ENCODER, lr=float("inf")), datamodule=Games())
    with pytest.raises(ConfigurationError, match="optimizers='own': choose 'shared' or 'per_v"):
        Supervised(optimizers="own")  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="leave out one of the two"):
        Supervised(optimizers="per_variable", per_variable_encoder=True)
    with pytest.raises(ConfigurationError, match="patience=0"):
        Supervised(patience=0)
    for options in ({"optimizers": "per_variable"}, {"per_variable_encoder": True}):
        model = Supervised(encoder=ENCODER, **options)  # type: ignore[arg-type]
        model.trainer = SimpleNamespace(world_size=2)  # type: ignore[assignment]
        with pytest.raises(ConfigurationError, match="does not train on 2 devices"):
            model.setup("fit")


@pytest.mark.parametrize("own", [False, True])
def test_predicted_labels_are_those_that_were_scored(own: bool) -> None:
    data = game()
    model = Supervised(encoder=ENCODER, lr=1e-2, per_variable_encoder=own)
    with pytest.raises(ConfigurationError, match="fit"):
        model.predict_labels("test")
    fitting = trainer(3)
    fitting.fit(model, datamodule=Games(data))
    fitting.test(model, datamodule=Games(data), verbose=False)
    predicted = model.predict_labels("test")
    right = (predicted == data.labels[data.splits["test"]]).double().mean(0)
    found = model.scores()
    assert torch.equal(found.predictions["supervised"], predicted)
    accuracy = found["protocols"]["supervised"]["accuracy"]["variables"]
    assert right.tolist() == pytest.approx([accuracy[name] for name in data.variables])


@pytest.mark.parametrize("own", [False, True])
def test_a_checkpoint_loads_without_a_trainer(own: bool, tmp_path: Path) -> None:
    data = game()
    model = Supervised(encoder=ENCODER, lr=1e-2, per_variable_encoder=own)
    fitting = trainer(2)
    fitting.fit(model, datamodule=Games(data))
    fitting.save_checkpoint(tmp_path / "model.ckpt")
    loaded = Supervised.load_from_checkpoint(tmp_path / "model.ckpt")
    frames = data.frames[:5].unsqueeze(1)
    torch.testing.assert_close(loaded(frames), model(frames), rtol=0, atol=0)
    # It is a model like any other: it can be scored, and goes on learning.
    testing = trainer(1)
    testing.test(loaded, datamodule=Games(data), verbose=False)
    fitting.test(model, datamodule=Games(data), verbose=False)
    assert loaded.scores()["protocols"] == model.scores()["protocols"]
    trainer(1).fit(loaded, datamodule=Games(data))
    assert not torch.equal(loaded(frames), model(frames))
    fresh = Supervised.load_from_checkpoint(tmp_path / "model.ckpt")
    fewer = ProbeData(
        **{**vars(data), "variables": data.variables[:2], "labels": data.labels[:, :2]}
    )
    with pytest.raises(
        EncoderError, match=r"heads are for \['x', 'y', 'keys'\], the data has \['x"
    ):
        trainer(1).test(fresh, datamodule=Games(fewer), verbose=False)
