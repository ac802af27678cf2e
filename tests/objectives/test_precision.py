"""Under autocast only what may be rounded is."""

import pytest
import torch

from lightning_stdim import objectives
from lightning_stdim.methods.heads import MLP

B, M, C, D, T = 8, 6, 16, 24, 4


def far_from_zero(*shape):
    """Vectors that differ by less than bfloat16's numbers do there."""
    return 30 + 0.05 * torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape)))


def projected():
    torch.manual_seed(0)
    return MLP(D, 12, 8)


CASES = {
    "global-local": lambda x: objectives.GlobalLocalInfoNCE(D, C)(x(B, D), x(B, M, C)),
    "local-local": lambda x: objectives.LocalLocalInfoNCE(C)(x(B, M, C), x(B, M, C).flip(1)),
    "global-global": lambda x: objectives.GlobalGlobalInfoNCE(D)(x(B, D), x(B, D)),
    "future": lambda x: objectives.future_infonce(x(B, T, 2, D), x(B, T, D), [1, 2])[0],
    "jensen-shannon": lambda x: objectives.BilinearJSD(D, C)(
        x(B, 1, D), x(B, M, C), x(B, M, C).flip(0)
    ),
    "variance": lambda x: objectives.variance_hinge(x(B, D)),
    "covariance": lambda x: objectives.covariance_penalty(x(B, D)),
    "cosine": lambda x: objectives.cosine_loss(x(B, D), x(B, D).flip(0)),
    "gaussian": lambda x: objectives.gaussian_kl(x(B, D) - 30, x(B, D) - 30),
    "projector": lambda x: projected()(x(B, D)),
}


def of(name, features, *, autocast):
    torch.manual_seed(0)
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        return CASES[name](features)


@pytest.mark.parametrize("name", CASES)
def test_no_loss_is_rounded_to_bfloat16(name):
    found = of(name, far_from_zero, autocast=True)
    assert found.dtype == torch.float32
    assert torch.equal(found, of(name, far_from_zero, autocast=False))


@pytest.mark.parametrize("name", CASES)
def test_what_bfloat16_features_cost_is_their_own_rounding(name):
    """As the encoder's maps come under autocast; the objective itself rounds no further."""

    def rounded(*shape):
        return far_from_zero(*shape).bfloat16()

    found = of(name, rounded, autocast=True)
    assert found.dtype == torch.float32
    expected = of(name, lambda *shape: rounded(*shape).float(), autocast=False)
    assert torch.equal(found, expected)
