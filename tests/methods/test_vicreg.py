"""VICReg against the loops that its formulas spell out."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lightning_stdim.datamodules.batches import SequenceBatch
from lightning_stdim.errors import ConfigurationError
from lightning_stdim.methods import VICReg
from lightning_stdim.objectives import covariance_penalty, variance_hinge
from tests.learning import learn


def slow_variance(rows):
    n, dims = rows.shape
    total = 0.0
    for j in range(dims):
        mean = sum(rows[i, j] for i in range(n)) / n
        variance = sum((rows[i, j] - mean) ** 2 for i in range(n)) / (n - 1)
        total = total + (1 - (variance + 1e-4) ** 0.5).clamp(min=0)
    return total / dims


def slow_covariance(rows):
    n, dims = rows.shape
    means = [sum(rows[i, j] for i in range(n)) / n for j in range(dims)]
    total = torch.zeros((), dtype=rows.dtype) * rows.sum()
    for j in range(dims):
        for k in range(dims):
            products = [(rows[i, j] - means[j]) * (rows[i, k] - means[k]) for i in range(n)]
            if j != k:
                total = total + (sum(products) / (n - 1)) ** 2
    return total / dims


@pytest.mark.parametrize(
    ("fast", "slow"), [(variance_hinge, slow_variance), (covariance_penalty, slow_covariance)]
)
@pytest.mark.parametrize("shape", [(2, 1), (2, 3), (5, 4), (3, 7)])
def test_equal_to_slow_loops_in_value_and_gradient(fast, slow, shape):
    torch.manual_seed(sum(shape))
    rows = torch.randn(shape, dtype=torch.float64, requires_grad=True)
    value, expected = fast(rows), slow(rows)
    torch.testing.assert_close(value, expected)
    (gradient,) = torch.autograd.grad(value, rows)
    (expected_gradient,) = torch.autograd.grad(expected, rows)
    torch.testing.assert_close(gradient, expected_gradient)


def test_equal_rows_have_no_variance_and_no_covariance():
    rows = torch.ones(5, 3)
    assert variance_hinge(rows).item() == pytest.approx(0.99)
    assert covariance_penalty(rows).item() == 0


def test_spread_uncorrelated_rows_cost_nothing():
    rows = torch.tensor([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]])
    assert variance_hinge(rows).item() == 0
    assert covariance_penalty(rows).item() == 0


@settings(deadline=None, max_examples=20)
@given(st.integers(2, 6), st.integers(1, 5), st.integers(0, 1000), st.floats(-3, 3))
def test_order_and_mean_change_nothing(n, dims, seed, shift):
    generator = torch.Generator().manual_seed(seed)
    rows = torch.randn(n, dims, generator=generator, dtype=torch.float64)
    moved = rows[torch.randperm(n, generator=generator)] + shift
    torch.testing.assert_close(variance_hinge(moved), variance_hinge(rows))
    torch.testing.assert_close(covariance_penalty(moved), covariance_penalty(rows))


def pairs(n=3):
    return torch.randint(0, 256, (2, n, 1, 210, 160)).byte()


def test_the_loss_is_the_weighted_sum_over_both_frames():
    torch.manual_seed(0)
    method = VICReg(expanded_dim=5, invariance=3, variance=2, covariance=7).double()
    frames = pairs()
    with torch.no_grad():
        # The expander by hand, each view normalised over its own batch.
        views = []
        for view in frames:
            rows = method(view)
            for linear, norm in ((0, 1), (3, 4)):
                rows = rows @ method.expander[linear].weight.T
                rows = (rows - rows.mean(0)) / (rows.var(0, correction=0) + 1e-5).sqrt()
                rows = (rows * method.expander[norm].weight + method.expander[norm].bias).relu()
            views.append(rows @ method.expander[6].weight.T + method.expander[6].bias)
        past, present = views
        terms = method.loss(SequenceBatch(frames, torch.arange(3)))
    expected = {
        "invariance": sum((a - b) ** 2 for a, b in zip(past.ravel(), present.ravel(), strict=True))
        / 15,
        "variance": slow_variance(past) + slow_variance(present),
        "covariance": slow_covariance(past) + slow_covariance(present),
    }
    for name, value in expected.items():
        torch.testing.assert_close(terms[name], value)
    total = 3 * terms["invariance"] + 2 * terms["variance"] + 7 * terms["covariance"]
    torch.testing.assert_close(terms["loss"], total)


def test_equal_frames_are_invariant():
    frames = pairs()[:1].expand(2, -1, -1, -1, -1)
    terms = VICReg(expanded_dim=8).loss(SequenceBatch(frames, torch.arange(3)))
    assert terms["invariance"].item() == pytest.approx(0, abs=1e-8)


def test_other_lengths_are_refused():
    batch = SequenceBatch(torch.zeros(3, 2, 1, 210, 160).byte(), torch.arange(2))
    with pytest.raises(ConfigurationError, match="takes sequences of 2 frames, not of 3"):
        VICReg().loss(batch)


@pytest.mark.parametrize("training", [True, False])
def test_one_pair_has_no_statistics(training):
    with pytest.raises(ConfigurationError, match="batch_size must be at least 2"):
        VICReg().train(training).loss(SequenceBatch(pairs(1), torch.arange(1)))


def test_validation_takes_the_loss_of_training():
    """Also after the features have moved away from where earlier batches had them."""
    method = VICReg(expanded_dim=8)
    batch = SequenceBatch(pairs(5), torch.arange(5))
    before = method.loss(batch)["loss"]
    method.encoder.requires_grad_(False)
    list(method.encoder.parameters())[-1].add_(50)
    after = method.loss(batch)["loss"]
    torch.testing.assert_close(after, before, rtol=1e-3, atol=1e-3)  # only their place has changed
    torch.testing.assert_close(method.eval().loss(batch)["loss"], after)


@pytest.mark.parametrize("arguments", [{"expanded_dim": 0}, {"covariance": -1.0}])
def test_wrong_arguments_are_refused(arguments):
    with pytest.raises(ConfigurationError):
        VICReg(**arguments)


def test_vicreg_beats_the_random_encoder():
    torch.manual_seed(0)
    before, after = learn(VICReg(lr=2e-3), steps=30)
    assert after > before + 0.2
