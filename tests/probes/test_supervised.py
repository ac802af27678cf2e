import json
from pathlib import Path
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

from lightning_stdim.callbacks import PerVariableEarlyStopping
from lightning_stdim.datamodules.batches import ProbeBatch, ProbeData
from lightning_stdim.errors import ConfigurationError, EncoderError, TrainingError
from lightning_stdim.probes import Supervised
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


def test_resuming_gives_what_an_uninterrupted_run_gives(tmp_path: Path) -> None:
    def fitted(epochs: int, **kwargs: Any) -> tuple[Supervised, Trainer]:
        seed_everything(0)
        model = Supervised(encoder=ENCODER, lr=0.1, patience=2)
        fitting = trainer(epochs)
        fitting.fit(model, datamodule=Games(), **kwargs)
        return model, fitting

    whole, _ = fitted(8)
    seed_everything(0)
    model = Supervised(encoder=ENCODER, lr=0.1, patience=2)

    class Save(Callback):
        def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
            trainer.save_checkpoint(tmp_path / "cut.ckpt")

    trainer(2, Save()).fit(model, datamodule=Games())
    resumed, _ = fitted(8, ckpt_path=tmp_path / "cut.ckpt", weights_only=True)
    for ours, expected in zip(resumed.parameters(), whole.parameters(), strict=True):
        torch.testing.assert_close(ours, expected, rtol=0, atol=0)


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
