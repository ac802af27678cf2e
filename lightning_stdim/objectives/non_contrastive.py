"""Losses without negatives."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from lightning_stdim.utils.precision import full_precision


@full_precision
def variance_hinge(rows: Tensor) -> Tensor:
    """Penalise dimensions whose standard deviation over the batch is less than 1.

    The mean over dimensions of max(0, 1 - sqrt(Var + 1e-4)), with the variance over n - 1. Source:
    Bardes et al. 2022 (arXiv 2105.04906), equations 1 and 2. It is not a number with fewer than
    two rows.

    Args:
        rows: float [N, E], gathered over ranks (see :func:`gather_rows`).

    Returns:
        float [], 0 to 0.99: the latter for equal rows.
    """
    deviation = (rows.var(0) + 1e-4).sqrt()
    return F.relu(1 - deviation).mean()


@full_precision
def covariance_penalty(rows: Tensor) -> Tensor:
    """Penalise covariance between dimensions over the batch.

    The sum of the squared covariances, over n - 1, of any two different dimensions (each two
    counted twice), divided by the number of dimensions. Source: Bardes et al. 2022 (arXiv
    2105.04906), equations 3 and 4. It is not a number with fewer than two rows.

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
    """Squared distance between the directions of predictions and targets.

    2 - 2 cos(prediction, target), the mean over everything but the last dimension. Source: Grill
    et al. 2020 (arXiv 2006.07733), equation 2.

    Args:
        predictions: float [..., P].
        targets: float [..., P], of the same shape.

    Returns:
        float [], 0 (the same directions) to 4 (opposite ones).
    """
    return 2 - 2 * F.cosine_similarity(predictions, targets, dim=-1).mean()


@full_precision
def gaussian_kl(mean: Tensor, log_variance: Tensor) -> Tensor:
    """Kullback-Leibler divergence of diagonal Gaussians from the standard normal distribution.

    Per sample 1/2 sum_d (mean_d^2 + variance_d - 1 - log variance_d); the mean over samples.
    Source: Kingma & Welling 2014 (arXiv 1312.6114), appendix B.

    Args:
        mean: float [B, D].
        log_variance: float [B, D].

    Returns:
        float [], in nats, at least 0.
    """
    terms = mean.square() + log_variance.exp() - 1 - log_variance
    return terms.sum(1).mean() / 2
