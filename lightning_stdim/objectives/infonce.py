"""InfoNCE over time: global and local features, and predictions several steps ahead.

Logits are plain inner products, neither normalised nor divided by a temperature.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lightning_stdim.objectives.gather import own_targets
from lightning_stdim.utils.precision import full_precision


def flatten_positions(local: Tensor) -> Tensor:
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

    @full_precision
    def forward(self, vector: Tensor, local: Tensor) -> Tensor:
        """Compute the loss.

        Args:
            vector: float [B, D], the global vectors of frames t.
            local: float [N, M, C], the other frames' local features, gathered over ranks (see
                :func:`flatten_positions` and :func:`gather_rows`).

        Returns:
            float [], in nats, at least 0.
        """
        predicted = self.predict(vector)  # [B, C]
        # One product for all positions: [B, C] x [C, N * M] -> [B, N, M] -> [M, B, N]
        logits = (predicted @ local.flatten(0, 1).T).unflatten(1, local.shape[:2])
        return _mean_cross_entropy(logits.permute(2, 0, 1), len(vector))


class GlobalPositionInfoNCE(nn.Module):
    """InfoNCE of a global vector and its frame's positions, which are each other's negatives.

    For position m, with a linear map of its own: logits g_mn = (W_m z + b_m) . f[n], cross-entropy
    of row m against class m; the mean over positions and frames. Source: ``StaticDIMTrainer`` of
    the reference implementation (src/static_dim.py, commit 764a9a5). Features that tell positions
    apart and nothing else, the same in all frames, bring it to 0.

    With equal features everywhere the value is log M.

    Args:
        global_dim: D, size of the global vector.
        local_dim: C, channels of the local map.
        positions: M, of the local map.
    """

    def __init__(self, global_dim: int, local_dim: int, positions: int) -> None:
        super().__init__()
        self.predict = nn.Linear(global_dim, positions * local_dim)

    @full_precision
    def forward(self, vector: Tensor, local: Tensor) -> Tensor:
        """Compute the loss.

        Args:
            vector: float [B, D], the frames' global vectors.
            local: float [B, M, C], the same frames' local features.

        Returns:
            float [], in nats, at least 0.
        """
        predicted = self.predict(vector).unflatten(1, local.shape[1:])  # [B, M, C]
        logits = torch.bmm(predicted, local.transpose(1, 2))  # [B, M, M]
        targets = torch.arange(local.shape[1], device=logits.device).repeat(len(local))
        return F.cross_entropy(logits.flatten(0, 1), targets)


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

    @full_precision
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

    @full_precision
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


@full_precision
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
