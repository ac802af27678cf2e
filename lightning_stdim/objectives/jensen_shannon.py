"""The Jensen-Shannon estimator."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lightning_stdim.utils.precision import full_precision


class BilinearJSD(nn.Module):
    """The Jensen-Shannon estimator with a bilinear critic, at every position.

    With the critic T = x W y + b: the mean of softplus(-T) over pairs that belong together plus the
    mean of softplus(T) over those that do not, each over samples and positions: the negative of
    Hjelm et al. 2019, equation 4. 2 log 2 for a critic that cannot tell.

    Args:
        anchor_dim: A, size of the anchors.
        local_dim: C, channels of the local features.
    """

    def __init__(self, anchor_dim: int, local_dim: int) -> None:
        super().__init__()
        self.weigh = nn.Linear(anchor_dim, local_dim, bias=False)
        self.bias = nn.Parameter(torch.zeros(()))

    @full_precision
    def forward(self, anchors: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
        """Compute the loss.

        Args:
            anchors: float [B, M, A], or [B, 1, A] for the same anchor at all positions.
            positive: float [B, M, C], what belongs to them.
            negative: float [B, M, C], what does not.

        Returns:
            float [], in nats, at least 0.
        """
        weights = self.weigh(anchors)  # [B, M or 1, C]
        together, apart = ((weights * local).sum(-1) + self.bias for local in (positive, negative))
        return F.softplus(-together).mean() + F.softplus(apart).mean()
