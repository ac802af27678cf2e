"""Gaussian latents."""

from __future__ import annotations

from torch import Tensor

from lightning_stdim.precision import in_float32


@in_float32
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
