"""The losses, as functions of features. No trainer in sight.

Shapes: B samples on this rank, N samples over all ranks (N = B without DDP), M positions of a local
map, C channels of it. Sample i's positive is sample i's other frame; everyone else's are negatives.
Logits are plain inner products, neither normalised nor divided by a temperature.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn


class _GatherWithGradient(torch.autograd.Function):
    """Concatenate every rank's rows; the gradient of each rank's rows is summed over the ranks.

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

    DDP averages gradients over ranks and each rank's loss is a mean over its own rows, so that W
    ranks of B/W rows compute the loss and the gradient of one rank with B rows.

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
    """Give the row of each of this rank's samples among all ranks' gathered rows.

    Args:
        batch: B, the number of samples on this rank.
        device: where to put the result.

    Returns:
        int64 [B], ``rank * B + i``.
    """
    first = dist.get_rank() * batch if _distributed() else 0
    return torch.arange(first, first + batch, device=device)


def positions(local: Tensor) -> Tensor:
    """List a local map's positions.

    Args:
        local: float [B, C, H, W].

    Returns:
        float [B, M, C] with M = H * W, position ``(row, column)`` at ``row * W + column``. A view
        when the map is in channels-last memory format.
    """
    return local.permute(0, 2, 3, 1).flatten(1, 2)


def _mean_cross_entropy(logits: Tensor, batch: int) -> Tensor:
    """Average the cross-entropy over logits [M, B, N], each row's class being its own sample."""
    targets = own_targets(batch, logits.device).repeat(logits.shape[0])  # [M * B]
    return F.cross_entropy(logits.flatten(0, 1), targets)


class GlobalLocalInfoNCE(nn.Module):
    """InfoNCE between a global vector and every position of another frame's local map.

    For position m: logits g_ij = (W z_i + b) . f_j[m], cross-entropy of row i against class i;
    the mean over positions and samples. Source: Anand et al. 2019, equations 1 and 2 (their
    L_GL); the bilinear score of van den Oord et al. 2018.

    With equal features everywhere the value is log N. A batch of one has the value 0 and no
    gradient.

    Args:
        global_dim: D, size of the global vector.
        local_dim: C, channels of the local map.
    """

    def __init__(self, global_dim: int, local_dim: int) -> None:
        super().__init__()
        self.predict = nn.Linear(global_dim, local_dim)

    def forward(self, vector: Tensor, local: Tensor) -> Tensor:
        """Compute the loss.

        Args:
            vector: float [B, D], the global vectors of frames t.
            local: float [N, M, C], the other frames' local features, gathered over ranks (see
                :func:`positions` and :func:`gather_rows`).

        Returns:
            float [], in nats, at least 0.
        """
        predicted = self.predict(vector)  # [B, C]
        # One product for all positions: [B, C] x [C, N * M] -> [B, N, M] -> [M, B, N]
        logits = (predicted @ local.flatten(0, 1).T).unflatten(1, local.shape[:2])
        return _mean_cross_entropy(logits.permute(2, 0, 1), len(vector))


class LocalLocalInfoNCE(nn.Module):
    """InfoNCE between the same positions of two local maps.

    For position m: logits g_ij = (W f_i[m] + b) . f'_j[m], cross-entropy of row i against class
    i; the mean over positions and samples. Source: Anand et al. 2019, equation 3 (their L_LL).

    With equal features everywhere the value is log N. A batch of one has the value 0 and no
    gradient.

    Args:
        local_dim: C, channels of the local map.
    """

    def __init__(self, local_dim: int) -> None:
        super().__init__()
        self.predict = nn.Linear(local_dim, local_dim)

    def forward(self, present: Tensor, past: Tensor) -> Tensor:
        """Compute the loss.

        Args:
            present: float [B, M, C], the local features of frames t.
            past: float [N, M, C], those of frames t - 1, gathered over ranks.

        Returns:
            float [], in nats, at least 0.
        """
        predicted = self.predict(present)  # [B, M, C]
        # One batched product over positions: [M, B, C] x [M, C, N] -> [M, B, N]
        logits = torch.bmm(predicted.transpose(0, 1), past.permute(1, 2, 0))
        return _mean_cross_entropy(logits, len(present))


class GlobalGlobalInfoNCE(nn.Module):
    """InfoNCE between the global vectors of two frames.

    Logits g_ij = (W z_i + b) . z'_j, cross-entropy of row i against class i; the mean over samples.
    Source: Anand et al. 2019, section 5 (Global-T-DIM).

    Args:
        global_dim: D, size of the vectors.
    """

    def __init__(self, global_dim: int) -> None:
        super().__init__()
        self.predict = nn.Linear(global_dim, global_dim)

    def forward(self, present: Tensor, past: Tensor) -> Tensor:
        """Compute the loss.

        Args:
            present: float [B, D], the vectors of frames t.
            past: float [N, D], those of frames t - 1, gathered over ranks.

        Returns:
            float [], in nats, at least 0.
        """
        logits = self.predict(present) @ past.T  # [B, N]
        return _mean_cross_entropy(logits.unsqueeze(0), len(present))


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


def future_infonce(
    predictions: Tensor, candidates: Tensor, steps: Sequence[int]
) -> tuple[Tensor, Tensor]:
    """InfoNCE between predictions of the future, several steps ahead, and what came.

    For step k and time t: logits of prediction i, t with every sequence's every vector that lies
    k steps ahead of some time, cross-entropy against the vector of i at t + k; the mean over
    sequences and times, summed over steps. Source: van den Oord et al. 2018 (arXiv 1807.03748),
    equation 4; the choice of negatives is that of Anand et al. 2019.

    With equal vectors everywhere a step's value is log(N (T - k)). Only one step's logits are
    made at a time, [B (T - k), N (T - k)]; their probabilities are kept for the gradient.

    Args:
        predictions: float [B, T, K, D]; of time t for each of the K steps.
        candidates: float [N, T, D], gathered over ranks (see :func:`gather_rows`).
        steps: K numbers of steps, each 1 to T - 1.

    Returns:
        The loss, float [], in nats, at least 0; and the accuracy, float [], 0 to 1: how often the
        right vector has the highest logit, the mean over steps.
    """
    losses, accuracies = [], []
    for step, predicted in zip(steps, predictions.unbind(2), strict=True):
        predicted = predicted[:, :-step].flatten(0, 1)  # [B (T - k), D]
        logits = predicted @ candidates[:, step:].flatten(0, 1).T
        targets = own_targets(len(predicted), logits.device)
        losses.append(F.cross_entropy(logits, targets))
        accuracies.append((logits.argmax(1) == targets).float().mean())
    return torch.stack(losses).sum(), torch.stack(accuracies).mean()


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
