"""Dead units against layers whose units are dead by construction."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from pytorch_lightning import LightningModule
from torch import Tensor, nn
from torch.utils.data import DataLoader

from lightning_stdim.callbacks import DeadUnits
from lightning_stdim.errors import ConfigurationError
from tests.trainers import quiet


class Network(LightningModule):
    """A convolution with 4 channels and a layer of 5 units on images of 2 x 2."""

    def __init__(self, images: Tensor) -> None:
        super().__init__()
        self.images = images
        self.convolution = nn.Sequential(nn.Conv2d(1, 4, 1), nn.ReLU(inplace=True))
        self.vector = nn.Sequential(nn.Flatten(), nn.Linear(16, 5), nn.ReLU())
        nn.init.ones_(self.convolution[0].weight)
        nn.init.zeros_(self.convolution[0].bias)
        nn.init.zeros_(self.vector[1].weight)
        nn.init.zeros_(self.vector[1].bias)

    def train_dataloader(self) -> DataLoader[Any]:
        return DataLoader(self.images, batch_size=2)  # type: ignore[arg-type]

    val_dataloader = train_dataloader

    def forward(self, images: Tensor) -> Tensor:
        vectors: Tensor = self.vector(self.convolution(images))
        return vectors

    def training_step(self, images: Tensor, index: int) -> Tensor:
        return self(images).sum()

    def validation_step(self, images: Tensor, index: int) -> None:
        self(images)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.0)


def shares(network: Network) -> dict[str, float]:
    trainer = quiet(max_epochs=1, callbacks=[DeadUnits()], num_sanity_val_steps=0)
    trainer.fit(network)
    return {name: value.item() for name, value in trainer.callback_metrics.items()}


def test_a_unit_is_alive_if_any_frame_and_position_makes_it_positive() -> None:
    images = torch.zeros(6, 1, 2, 2)
    images[5, 0, 1, 0] = 3.0  # one pixel of the last batch
    network = Network(images)
    # Channel 0 answers to it, 1 is just not reached, 2 is negative everywhere, 3 always positive.
    network.convolution[0].bias.data = torch.tensor([-2.0, -3.0, -9.0, 1.0])
    network.vector[1].bias.data = torch.tensor([-1.0, 1.0, 0.0, -1.0, -1.0])
    assert shares(network) == {
        "health/dead_units/convolution.1": 2 / 4,
        "health/dead_units/vector.2": pytest.approx(4 / 5),
    }


def test_every_epoch_is_measured_anew() -> None:
    network = Network(torch.ones(2, 1, 2, 2))
    assert shares(network)["health/dead_units/convolution.1"] == 0
    network.convolution[0].bias.data -= 5
    assert shares(network)["health/dead_units/convolution.1"] == 1


def test_no_hooks_stay_behind() -> None:
    network = Network(torch.ones(2, 1, 2, 2))
    quiet(max_epochs=1, callbacks=[DeadUnits()]).fit(network)
    assert not any(module._forward_hooks for module in network.modules())


def test_a_failed_validation_leaves_no_hooks() -> None:
    class Failing(Network):
        def validation_step(self, images: Tensor, index: int) -> None:
            raise RuntimeError("a fault")

    network = Failing(torch.ones(2, 1, 2, 2))
    with pytest.raises(RuntimeError, match="a fault"):
        quiet(max_epochs=1, callbacks=[DeadUnits()]).fit(network)
    assert not any(module._forward_hooks for module in network.modules())


def test_a_network_without_relu_is_refused() -> None:
    network = Network(torch.ones(2, 1, 2, 2))
    network.convolution[1], network.vector[2] = nn.Tanh(), nn.Tanh()
    with pytest.raises(ConfigurationError, match=r"no nn.ReLU in Network"):
        quiet(max_epochs=1, callbacks=[DeadUnits()]).fit(network)
