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
    return MLP(D, 12, 8).eval()


CASES = {
    "global-local": lambda: objectives.GlobalLocalInfoNCE(D, C)(
        far_from_zero(B, D), far_from_zero(B, M, C)
    ),
    "local-local": lambda: objectives.LocalLocalInfoNCE(C)(
        far_from_zero(B, M, C), far_from_zero(B, M, C).flip(1)
    ),
    "global-global": lambda: objectives.GlobalGlobalInfoNCE(D)(
        far_from_zero(B, D), far_from_zero(B, D)
    ),
    "future": lambda: objectives.future_infonce(
        far_from_zero(B, T, 2, D), far_from_zero(B, T, D), [1, 2]
    )[0],
    "jensen-shannon": lambda: objectives.BilinearJSD(D, C)(
        far_from_zero(B, 1, D), far_from_zero(B, M, C), far_from_zero(B, M, C).flip(0)
    ),
    "variance": lambda: objectives.variance_hinge(far_from_zero(B, D)),
    "covariance": lambda: objectives.covariance_penalty(far_from_zero(B, D)),
    "cosine": lambda: objectives.cosine_loss(far_from_zero(B, D), far_from_zero(B, D).flip(0)),
    "gaussian": lambda: objectives.gaussian_kl(far_from_zero(B, D) - 30, far_from_zero(B, D) - 30),
    "projector": lambda: projected()(far_from_zero(B, D)),
}


@pytest.mark.parametrize("name", CASES)
def test_no_loss_is_rounded_to_bfloat16(name):
    torch.manual_seed(0)
    expected = CASES[name]()
    torch.manual_seed(0)
    with torch.autocast("cpu", torch.bfloat16):
        found = CASES[name]()
    assert found.dtype == torch.float32
    assert torch.equal(found, expected)


def test_what_bfloat16_features_cost_is_their_own_rounding():
    """As the encoder's maps come under autocast; the objective itself rounds no further."""
    torch.manual_seed(0)
    loss = objectives.LocalLocalInfoNCE(C)
    maps = [far_from_zero(B, M, C).bfloat16() for _ in range(2)]
    expected = loss(*(m.float() for m in maps))
    with torch.autocast("cpu", torch.bfloat16):
        found = loss(*maps)
    assert torch.equal(found, expected)
