"""Static-DIM's other negatives, the reference's: a slow loop, and what they ask of features."""

import math

import pytest
import torch

from lightning_stdim.datamodules.batches import SequenceBatch
from lightning_stdim.errors import ConfigurationError
from lightning_stdim.methods import StaticDIM
from lightning_stdim.objectives import GlobalPositionInfoNCE


@pytest.mark.parametrize("shape", [(1, 1), (2, 3), (4, 5)])
def test_equal_to_a_slow_loop_in_value_and_gradient(shape):
    torch.manual_seed(sum(shape))
    batch, places = shape
    loss = GlobalPositionInfoNCE(3, 2, places).double()
    vector = torch.randn(batch, 3, dtype=torch.float64, requires_grad=True)
    local = torch.randn(batch, places, 2, dtype=torch.float64, requires_grad=True)
    slow = torch.zeros((), dtype=torch.float64)
    for i in range(batch):
        for m in range(places):
            weight, bias = (p[2 * m : 2 * m + 2] for p in loss.predict.parameters())
            scores = torch.stack([(weight @ vector[i] + bias) @ f for f in local[i]])
            slow = slow + (scores.exp().sum().log() - scores[m]) / (batch * places)
    fast = loss(vector, local)
    torch.testing.assert_close(fast, slow)
    parameters = [vector, local, *loss.parameters()]
    for ours, theirs in zip(
        torch.autograd.grad(fast, parameters), torch.autograd.grad(slow, parameters), strict=True
    ):
        torch.testing.assert_close(ours, theirs)
    same = torch.ones(batch, places, 2, dtype=torch.float64)
    assert loss(vector, same).item() == pytest.approx(math.log(places))


def test_features_that_know_nothing_of_the_frame_solve_it():
    """Each position has its own code, in every frame; the global vector says nothing."""
    loss = GlobalPositionInfoNCE(3, 8, 8)
    codes = torch.eye(8)
    with torch.no_grad():
        loss.predict.bias.copy_(20 * codes.flatten())
        value = loss(torch.zeros(5, 3), codes.expand(5, 8, 8))
    assert value.item() < 1e-6


def test_a_frame_s_loss_does_not_depend_on_the_others():
    torch.manual_seed(0)
    method = StaticDIM(negatives="positions").double()
    frames = torch.randint(0, 256, (1, 3, 1, 210, 160)).byte()
    with torch.no_grad():
        losses = [
            method.loss(SequenceBatch(frames[:, k : k + 1], torch.arange(1)))["loss"]
            for k in range(3)
        ]
        together = method.loss(SequenceBatch(frames, torch.arange(3)))["loss"]
    torch.testing.assert_close(together, torch.stack(losses).mean())


def test_other_negatives_are_refused():
    with pytest.raises(ConfigurationError, match="negatives='episode' is unknown: choose from"):
        StaticDIM(negatives="episode")
