"""Losses without negatives."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from lightning_stdim.utils.precision import full_precision


@full_precision
def variance_hinge(rows: Tensor) -> Tensor:
    """Penalise dimensions whose standard deviation over the batch is less than 1.

    The mean over dimensions of max(0, 1 - sqrt(Var + 1e-4)), where the variance is divided by
    N - 1. It is NaN for fewer than two rows.

    Source: Bardes et al. 2022 (arXiv 2105.04906), equations 1 and 2.

    Args:
        rows: float [N, E], gathered over ranks (see :func:`gather_rows`).

    Returns:
        float [], 0 to 0.99; 0.99 if all rows are equal.
    """
    deviation = (rows.var(0) + 1e-4).sqrt()
    return F.relu(1 - deviation).mean()


@full_precision
def covariance_penalty(rows: Tensor) -> Tensor:
    """Penalise covariance between dimensions over the batch.

    The sum of the squared off-diagonal elements of the covariance matrix (divided by N - 1), over
    the number of dimensions. It is NaN for fewer than two rows.

    Source: Bardes et al. 2022 (arXiv 2105.04906), equations 3 and 4.

    Args:
        rows: float [N, E], gathered over ranks (see :func:`gather_rows`).

    Returns:
        float [], at least 0.
    """
    centred = rows - rows.mean(0)
    covariance = centred.T @ centred / (len(rows) - 1)  # [E, E]
    return covariance.fill_diagonal_(0).square().sum() / rows.shape[1]


@full_precision
def cosine_loss(predictions: Tensor, targets: Tensor) -> Tensor:
    """Compute the squared distance between the directions of predictions and targets.

    2 - 2 cos(prediction, target), averaged over all dimensions but the last.

    Source: Grill et al. 2020 (arXiv 2006.07733), equation 2.

    Args:
        predictions: predicted vectors, float [..., P].
        targets: target vectors, float [..., P], of the same shape.

    Returns:
        float [], 0 (equal directions) to 4 (opposite directions).
    """
    return 2 - 2 * F.cosine_similarity(predictions, targets, dim=-1).mean()


@full_precision
def gaussian_kl(mean: Tensor, log_variance: Tensor) -> Tensor:
    """Compute the Kullback-Leibler divergence of diagonal Gaussians from the standard normal one.

    For each sample 1/2 sum_d (mean_d^2 + variance_d - 1 - log variance_d), averaged over samples.

    Source: Kingma & Welling 2014 (arXiv 1312.6114), appendix B.

    Args:
        mean: means of the Gaussians, float [B, D].
        log_variance: natural logarithms of their variances, float [B, D].

    Returns:
        float [], in nats, at least 0.
    """
    terms = mean.square() + log_variance.exp() - 1 - log_variance
    return terms.sum(1).mean() / 2
