"""Methods must learn to read a synthetic game's state within seconds."""

import torch

from lightning_stdim import STDIM
from tests.learning import learn


def test_stdim_beats_the_random_encoder():
    torch.manual_seed(0)
    before, after = learn(STDIM(lr=2e-3))
    assert after > before + 0.25
