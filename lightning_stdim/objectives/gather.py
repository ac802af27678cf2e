"""Computation over several ranks: gathered rows with gradients, their numbers, and noise."""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from lightning_stdim.errors import ConfigurationError


class _GatherWithGradient(torch.autograd.Function):
    """Concatenation of every rank's rows, whose gradient is summed over the ranks.

    Every rank's loss depends on every rank's features. Without the sum in the backward pass the
    loss would be right and the gradient wrong.
    """

    @staticmethod
    def forward(ctx: Any, rows: Tensor) -> Tensor:
        gathered = [torch.empty_like(rows) for _ in range(dist.get_world_size())]
        dist.all_gather(gathered, rows)
        return torch.cat(gathered)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        (gradient,) = gradients
        # gloo has no reduce_scatter; all_reduce works with every backend.
        gradient = gradient.contiguous()
        dist.all_reduce(gradient)
        return gradient.chunk(dist.get_world_size())[dist.get_rank()]


def _distributed() -> bool:
    return dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1


def gather_rows(rows: Tensor) -> Tensor:
    """Gather a tensor's rows from all ranks, with gradients.

    Each rank's loss is a mean over its own rows, and DDP averages gradients over ranks. So W ranks
    of B/W rows each compute the same loss and gradient as one rank of B rows.

    Args:
        rows: float [B, ...]; B must be the same on every rank.

    Returns:
        float [N, ...], rank 0's rows first; ``rows`` itself without a process group.
    """
    if not _distributed():
        return rows
    gathered: Tensor = _GatherWithGradient.apply(rows.contiguous())  # type: ignore[no-untyped-call]
    return gathered


def own_targets(batch: int, device: torch.device) -> Tensor:
    """Return the indices of this rank's samples among the gathered rows of all ranks.

    Args:
        batch: number of samples on this rank, B.
        device: device of the result.

    Returns:
        int64 [B]; for sample i the index ``rank * B + i``.
    """
    first = dist.get_rank() * batch if _distributed() else 0
    return torch.arange(first, first + batch, device=device)


def require_several(samples: int, why: str) -> None:
    """Refuse a batch of one sample, for what compares samples with each other.

    Args:
        samples: number of samples of all ranks together, N.
        why: what cannot be done with one sample.

    Raises:
        ConfigurationError: there are fewer than two.
    """
    if samples < 2:
        raise ConfigurationError(f"{why}: --data.batch_size must be at least 2")


def rank_noise(rows: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Draw standard normal noise for this rank's rows.

    Args:
        rows: float [B, ...]; B must be the same on every rank.
        generator: generator on the rows' device, in the same state on every rank; by default
            torch's global one.

    Returns:
        Noise of the shape, type and device of `rows`: this rank's part of the noise that a single
        rank would draw for all N rows, so that no two ranks have the same noise.
    """
    ranks = dist.get_world_size() if _distributed() else 1
    noise = torch.randn(
        ranks * len(rows),
        *rows.shape[1:],
        generator=generator,
        dtype=rows.dtype,
        device=rows.device,
    )
    return noise[own_targets(len(rows), rows.device)]
