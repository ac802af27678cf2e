"""BYOL against one pair at a time."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lightning_stdim.datamodules.batches import SequenceBatch
from lightning_stdim.errors import ConfigurationError
from lightning_stdim.methods import BYOL
from lightning_stdim.objectives import cosine_loss
from tests.learning import learn


def slow_distance(prediction, target):
    """Squared distance of two vectors of length one."""
    prediction, target = (v / (v * v).sum().sqrt() for v in (prediction, target))
    return ((prediction - target) ** 2).sum()


@pytest.mark.parametrize("shape", [(1, 1), (3, 2), (2, 3, 5)])
def test_equal_to_slow_loops_in_value_and_gradient(shape):
    torch.manual_seed(len(shape))
    predictions, targets = torch.randn(2, *shape, dtype=torch.float64)
    predictions.requires_grad_()
    rows = zip(predictions.view(-1, shape[-1]), targets.view(-1, shape[-1]), strict=True)
    slow = torch.stack([slow_distance(*row) for row in rows]).mean()
    fast = cosine_loss(predictions, targets)
    torch.testing.assert_close(fast, slow)
    (gradient,) = torch.autograd.grad(fast, predictions)
    (expected,) = torch.autograd.grad(slow, predictions)
    torch.testing.assert_close(gradient, expected)


@settings(deadline=None, max_examples=20)
@given(st.floats(0.01, 100), st.integers(0, 1000))
def test_only_directions_count(scale, seed):
    rows = torch.randn(4, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    assert cosine_loss(scale * rows, rows).item() == pytest.approx(0, abs=1e-9)
    assert cosine_loss(-scale * rows, rows).item() == pytest.approx(4)


def test_each_frame_predicts_the_target_s_view_of_the_other():
    torch.manual_seed(0)
    method = BYOL(hidden_dim=7, projection_dim=4).double()
    for parameter in method.target.parameters():  # as after some training
        parameter.add_(0.01 * torch.randn_like(parameter))
    frames = torch.randint(0, 256, (2, 3, 1, 210, 160)).byte()
    with torch.no_grad():
        rows = frames.flatten(0, 1)  # normalised over all six
        past, present = method.predictor(method.projector(method(rows))).chunk(2)
        target_past, target_present = method.target(rows).chunk(2)
        expected = 0
        for i in range(3):
            expected += slow_distance(past[i], target_present[i])
            expected += slow_distance(present[i], target_past[i])
        found = method.loss(SequenceBatch(frames, torch.arange(3)))["loss"]
    torch.testing.assert_close(found, expected / 3)


def test_other_lengths_are_refused():
    batch = SequenceBatch(torch.zeros(3, 2, 1, 210, 160).byte(), torch.arange(2))
    with pytest.raises(ConfigurationError, match="takes sequences of 2 frames, not of 3"):
        BYOL().loss(batch)


def test_byol_beats_the_random_encoder():
    torch.manual_seed(0)
    before, after = learn(BYOL(decay=0.9, lr=2e-3), steps=30)
    assert after > before + 0.2
