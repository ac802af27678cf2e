"""The target network follows the online one: by how much, how often, and after resuming."""

import pytest
import torch
from pytorch_lightning import Callback, seed_everything
from torch import nn
from torch.utils.data import DataLoader

from lightning_stdim import load_encoder
from lightning_stdim.datamodules.batches import SequenceBatch
from lightning_stdim.errors import ConfigurationError
from lightning_stdim.methods import BYOL
from tests.trainers import quiet

DECAY = 0.8


class Encoder(nn.Sequential):
    """A tiny one: only every 30th pixel counts."""

    feature_dim = 6

    def __init__(self):
        super().__init__(nn.AvgPool2d(1, 30), nn.Flatten(), nn.Linear(7 * 6, self.feature_dim))

    def forward(self, frames):
        return super().forward(frames / 255)


class Recorder(Callback):
    """Keeps the online weights at the start and after every optimiser step."""

    def __init__(self):
        self.online = []

    def on_train_start(self, trainer, method):
        self.online.append(online(method))

    def on_train_batch_end(self, trainer, method, *_):
        if trainer.global_step == len(self.online):
            self.online.append(online(method))


def online(method):
    parts = nn.Sequential(method.encoder, method.projector)
    return [p.detach().clone() for p in parts.parameters()]


def make():
    seed_everything(0)
    method = BYOL(encoder=f"{__name__}.Encoder", hidden_dim=5, projection_dim=3, decay=DECAY)
    frames = torch.randint(0, 256, (6, 2, 4, 1, 210, 160)).byte()
    return method, DataLoader([SequenceBatch(f, torch.arange(4)) for f in frames], batch_size=None)


def fit(method, loader, *, epochs, ckpt_path=None, **options):
    trainer = quiet(max_epochs=epochs, **options)
    trainer.fit(method, loader, ckpt_path=ckpt_path)
    return trainer


@pytest.mark.parametrize("accumulate", [1, 2])
def test_target_is_the_moving_average_of_every_step_s_weights(accumulate):
    method, loader = make()
    recorder = Recorder()
    fit(method, loader, epochs=2, accumulate_grad_batches=accumulate, callbacks=recorder)
    assert len(recorder.online) == 1 + 12 // accumulate
    expected, *later = recorder.online
    for weights in later:
        expected = [DECAY * e + (1 - DECAY) * w for e, w in zip(expected, weights, strict=True)]
    found = list(method.target.parameters())
    assert not torch.equal(found[0], recorder.online[-1][0])
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs)


def test_only_the_online_networks_have_gradients():
    method, loader = make()
    method.loss(next(iter(loader)))["loss"].backward()
    for name, parameter in method.named_parameters():
        if name.startswith("target."):
            assert parameter.grad is None, name
            assert not parameter.requires_grad
        else:
            assert parameter.grad.abs().sum() > 0, name


def test_a_resumed_run_has_the_target_of_an_uninterrupted_one(tmp_path):
    whole, loader = make()
    fit(whole, loader, epochs=3)
    part, loader = make()
    fit(part, loader, epochs=1).save_checkpoint(tmp_path / "part.ckpt")
    resumed, loader = make()
    fit(resumed, loader, epochs=3, ckpt_path=tmp_path / "part.ckpt")
    expected = whole.state_dict()
    assert any(name.startswith("target.") for name in expected)
    for name, value in resumed.state_dict().items():
        assert torch.equal(value, expected[name]), name
    encoder = load_encoder(tmp_path / "part.ckpt")
    assert torch.equal(encoder[2].weight, part.encoder[2].weight)  # not the target's


@pytest.mark.parametrize(
    "arguments", [{"decay": 1.0}, {"decay": -0.1}, {"hidden_dim": 0}, {"projection_dim": 0}]
)
def test_wrong_arguments_are_refused(arguments):
    with pytest.raises(ConfigurationError):
        BYOL(**arguments)
