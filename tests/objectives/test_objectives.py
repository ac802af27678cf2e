"""The objectives against the slow loops that the paper's formulas spell out."""

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from lightning_stdim.objectives import GlobalLocalInfoNCE, LocalLocalInfoNCE, flatten_positions


def slow_stdim(global_local, local_local, vector, present, past):
    """Four loops: positions, anchors, candidates, channels."""
    batch, channels, height, width = present.shape
    total = torch.zeros((), dtype=vector.dtype)
    for row in range(height):
        for column in range(width):
            for predict, source in ((global_local.predict, vector), (local_local.predict, None)):
                for i in range(batch):
                    anchor = predict(
                        source[i] if source is not None else present[i, :, row, column]
                    )
                    scores = []
                    for j in range(batch):
                        score = torch.zeros((), dtype=vector.dtype)
                        for channel in range(channels):
                            score = score + anchor[channel] * past[j, channel, row, column]
                        scores.append(score)
                    scores = torch.stack(scores)
                    total = total + torch.logsumexp(scores, 0) - scores[i]
    return total / (batch * height * width)


@pytest.mark.parametrize(
    ("batch", "channels", "height", "width", "dim"),
    [(2, 3, 2, 2, 4), (2, 1, 1, 3, 5), (5, 4, 3, 2, 3)],
)
def test_equal_to_slow_loops_in_value_and_gradient(batch, channels, height, width, dim):
    torch.manual_seed(batch)
    global_local = GlobalLocalInfoNCE(dim, channels).double()
    local_local = LocalLocalInfoNCE(channels).double()
    inputs = [
        torch.randn(shape, dtype=torch.float64, requires_grad=True)
        for shape in ((batch, dim), *2 * ((batch, channels, height, width),))
    ]
    parameters = [*inputs, *global_local.parameters(), *local_local.parameters()]
    vector, present, past = inputs
    fast = global_local(vector, flatten_positions(past)) + local_local(
        flatten_positions(present), flatten_positions(past)
    )
    slow = slow_stdim(global_local, local_local, vector, present, past)
    torch.testing.assert_close(fast, slow)
    for ours, theirs in zip(
        torch.autograd.grad(fast, parameters), torch.autograd.grad(slow, parameters), strict=True
    ):
        torch.testing.assert_close(ours, theirs)


def test_equal_features_give_log_n():
    vector = torch.ones(7, 4)
    local = torch.ones(7, 6, 3)
    assert GlobalLocalInfoNCE(4, 3)(vector, local).item() == pytest.approx(math.log(7), rel=1e-5)
    assert LocalLocalInfoNCE(3)(local, local).item() == pytest.approx(math.log(7), rel=1e-5)


@settings(deadline=None, max_examples=20)
@given(st.integers(2, 6), st.integers(1, 5), st.integers(0, 1000))
def test_permuting_samples_or_positions_changes_nothing(batch, places, seed):
    generator = torch.Generator().manual_seed(seed)
    present, past = torch.randn(2, batch, places, 3, generator=generator, dtype=torch.float64)
    loss = LocalLocalInfoNCE(3).double()
    order = torch.randperm(batch, generator=generator)
    torch.testing.assert_close(loss(present[order], past[order]), loss(present, past))
    order = torch.randperm(places, generator=generator)
    torch.testing.assert_close(loss(present[:, order], past[:, order]), loss(present, past))


def test_a_cross_entropy_per_position_is_the_same():
    """Against torch's own cross-entropy, one position at a time."""
    torch.manual_seed(0)
    loss = GlobalLocalInfoNCE(5, 4)
    vector, local = torch.randn(6, 5), torch.randn(6, 3, 4)
    one_by_one = [
        F.cross_entropy(loss.predict(vector) @ local[:, m].T, torch.arange(6)) for m in range(3)
    ]
    torch.testing.assert_close(loss(vector, local), torch.stack(one_by_one).mean())


def test_positions_are_row_major():
    local = torch.arange(2 * 3 * 4 * 5).reshape(2, 3, 4, 5)
    assert torch.equal(flatten_positions(local)[1, 2 * 5 + 3], local[1, :, 2, 3])
