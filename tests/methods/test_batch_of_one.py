"""A batch of one sample either trains the encoder or is refused."""

from functools import partial

import pytest
import torch

from lightning_stdim import methods
from lightning_stdim.datamodules.batches import SequenceBatch
from lightning_stdim.errors import ConfigurationError
from tests.methods.test_distributed import METHODS

TRAIN = {
    "CPC",  # other times of the same sequence are negatives
    "JSDSTDIM",  # another frame of the same episode is the negative
    "PixelPrediction",
    "StaticDIM over positions",
    "VAE",
}
CASES = {**METHODS, "CPC of pairs": partial(methods.CPC, sequence_length=2)}


def loss_of(name, samples):
    torch.manual_seed(0)
    model = CASES[name]()
    frames = torch.randint(0, 256, (model.sequence_length, samples, 1, 210, 160)).byte()
    loss = model.loss(SequenceBatch(frames, torch.arange(samples), frames[0].flip(-1)))["loss"]
    loss.backward()
    return sum(float(p.grad.abs().sum()) for p in model.encoder.parameters() if p.grad is not None)


@pytest.mark.parametrize("name", CASES)
def test_one_sample(name):
    assert loss_of(name, 2) > 0
    if name in TRAIN:
        assert loss_of(name, 1) > 0
    else:
        with pytest.raises(ConfigurationError, match=r"--data.batch_size must be at least 2"):
            loss_of(name, 1)
