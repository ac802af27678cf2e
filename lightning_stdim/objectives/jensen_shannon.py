"""The Jensen-Shannon estimator of mutual information, as a loss."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lightning_stdim.utils.precision import full_precision


class BilinearJSD(nn.Module):
    """The Jensen-Shannon estimator with a bilinear critic at every position.

    The critic of an anchor x and a local feature y is T = x W y + b. The loss is the mean of
    softplus(-T) over positive pairs plus the mean of softplus(T) over negative pairs, each over
    samples and positions. It is 2 log 2 for a critic that cannot distinguish them.

    Source: the negative of Hjelm et al. 2019 (arXiv 1808.06670), equation 4.

    Args:
        anchor_dim: size of the anchors, A.
        local_dim: number of channels of the local features, C.
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
            positive: float [B, M, C], the local features that belong to the anchors.
            negative: float [B, M, C], local features that do not.

        Returns:
            float [], in nats, at least 0.
        """
        weights = self.weigh(anchors)  # [B, M or 1, C]
        right, wrong = ((weights * local).sum(-1) + self.bias for local in (positive, negative))
        return F.softplus(-right).mean() + F.softplus(wrong).mean()
