"""InfoNCE losses of global and local features, and of predictions several steps ahead.

Logits are plain inner products, neither normalised nor divided by a temperature.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lightning_stdim.objectives.gather import own_targets, require_several
from lightning_stdim.utils.precision import full_precision


def flatten_positions(local: Tensor) -> Tensor:
    """Flatten a local map's rows and columns into one dimension of positions.

    Args:
        local: local maps, float [B, C, H, W].

    Returns:
        float [B, M, C] with M = H * W; position ``(row, column)`` is at ``row * W + column``. It is
        a view if the map is in channels-last memory format.
    """
    return local.permute(0, 2, 3, 1).flatten(1, 2)


def _require_negatives(candidates: int) -> None:
    require_several(candidates, "one sample has no others to be told apart from")


def _mean_cross_entropy(logits: Tensor, batch: int) -> Tensor:
    """Average the cross-entropy over logits [M, B, N]; the class of each row is its own sample."""
    _require_negatives(logits.shape[2])
    targets = own_targets(batch, logits.device).repeat(logits.shape[0])  # [M * B]
    return F.cross_entropy(logits.flatten(0, 1), targets)


class GlobalLocalInfoNCE(nn.Module):
    """InfoNCE between a global vector and every position of another frame's local map.

    For position m: logits g_ij = (W z_i + b) . f_j[m], and the cross-entropy of row i against
    class i. The loss is the mean over positions and samples. If all features are equal, it is
    log N.

    Source: Anand et al. 2019 (arXiv 1906.08226), equations 1 and 2 (L_GL in the paper); the
    bilinear score is that of van den Oord et al. 2018 (arXiv 1807.03748).

    Args:
        global_dim: size of the global vector, D.
        local_dim: number of channels of the local map, C.
    """

    def __init__(self, global_dim: int, local_dim: int) -> None:
        super().__init__()
        self.predict = nn.Linear(global_dim, local_dim)

    @full_precision
    def forward(self, vector: Tensor, local: Tensor) -> Tensor:
        """Compute the loss.

        Args:
            vector: float [B, D], the global vectors of frames t.
            local: float [N, M, C], the local features of the other frames, gathered over ranks
                (see :func:`flatten_positions` and :func:`gather_rows`).

        Returns:
            float [], in nats, at least 0.

        Raises:
            ConfigurationError: there is only one sample, which has no negatives.
        """
        predicted = self.predict(vector)  # [B, C]
        # One product for all positions: [B, C] x [C, N * M] -> [B, N, M] -> [M, B, N]
        logits = (predicted @ local.flatten(0, 1).T).unflatten(1, local.shape[:2])
        return _mean_cross_entropy(logits.permute(2, 0, 1), len(vector))


class GlobalPositionInfoNCE(nn.Module):
    """InfoNCE between a global vector and its own frame's positions, which are the negatives too.

    Each position m has a linear map of its own: logits g_mn = (W_m z + b_m) . f[n], and the
    cross-entropy of row m against class m. The loss is the mean over positions and frames. If all
    features are equal, it is log M. Features that only distinguish the positions and are the same
    in all frames bring it to 0.

    Source: ``StaticDIMTrainer`` of the reference implementation
    (mila-iqia/atari-representation-learning, src/static_dim.py, commit 764a9a5).

    Args:
        global_dim: size of the global vector, D.
        local_dim: number of channels of the local map, C.
        positions: number of positions of the local map, M.
    """

    def __init__(self, global_dim: int, local_dim: int, positions: int) -> None:
        super().__init__()
        self.predict = nn.Linear(global_dim, positions * local_dim)

    @full_precision
    def forward(self, vector: Tensor, local: Tensor) -> Tensor:
        """Compute the loss.

        Args:
            vector: float [B, D], the global vectors of the frames.
            local: float [B, M, C], the local features of the same frames.

        Returns:
            float [], in nats, at least 0.
        """
        predicted = self.predict(vector).unflatten(1, local.shape[1:])  # [B, M, C]
        logits = torch.bmm(predicted, local.transpose(1, 2))  # [B, M, M]
        targets = torch.arange(local.shape[1], device=logits.device).repeat(len(local))
        return F.cross_entropy(logits.flatten(0, 1), targets)


class LocalLocalInfoNCE(nn.Module):
    """InfoNCE between the same positions of two local maps.

    For position m: logits g_ij = (W f_i[m] + b) . f'_j[m], and the cross-entropy of row i against
    class i. The loss is the mean over positions and samples. If all features are equal, it is
    log N.

    Source: Anand et al. 2019 (arXiv 1906.08226), equation 3 (L_LL in the paper).

    Args:
        local_dim: number of channels of the local maps, C.
    """

    def __init__(self, local_dim: int) -> None:
        super().__init__()
        self.predict = nn.Linear(local_dim, local_dim)

    @full_precision
    def forward(self, present: Tensor, past: Tensor) -> Tensor:
        """Compute the loss.

        Args:
            present: float [B, M, C], the local features of frames t.
            past: float [N, M, C], the local features of frames t - 1, gathered over ranks.

        Returns:
            float [], in nats, at least 0.

        Raises:
            ConfigurationError: there is only one sample, which has no negatives.
        """
        predicted = self.predict(present)  # [B, M, C]
        # One batched product over positions: [M, B, C] x [M, C, N] -> [M, B, N]
        logits = torch.bmm(predicted.transpose(0, 1), past.permute(1, 2, 0))
        return _mean_cross_entropy(logits, len(present))


class GlobalGlobalInfoNCE(nn.Module):
    """InfoNCE between the global vectors of two frames.

    Logits g_ij = (W z_i + b) . z'_j, and the cross-entropy of row i against class i. The loss is
    the mean over samples. If all vectors are equal, it is log N.

    Source: Anand et al. 2019 (arXiv 1906.08226), section 5 (Global-T-DIM).

    Args:
        global_dim: size of the global vectors, D.
    """

    def __init__(self, global_dim: int) -> None:
        super().__init__()
        self.predict = nn.Linear(global_dim, global_dim)

    @full_precision
    def forward(self, present: Tensor, past: Tensor) -> Tensor:
        """Compute the loss.

        Args:
            present: float [B, D], the global vectors of frames t.
            past: float [N, D], the global vectors of frames t - 1, gathered over ranks.

        Returns:
            float [], in nats, at least 0.

        Raises:
            ConfigurationError: there is only one sample, which has no negatives.
        """
        logits = self.predict(present) @ past.T  # [B, N]
        return _mean_cross_entropy(logits.unsqueeze(0), len(present))


@full_precision
def future_infonce(
    predictions: Tensor, candidates: Tensor, steps: Sequence[int]
) -> tuple[Tensor, Tensor]:
    """Compute InfoNCE between predictions of vectors several steps ahead and the actual vectors.

    For a step k, the prediction that sequence i makes at time t is compared with the vectors of
    all sequences at times k and later; the right one is the vector of sequence i at time t + k.
    The cross-entropy is averaged over sequences and times, and summed over steps. If all vectors
    are equal, it is log(N (T - k)) for step k.

    The logits, [B (T - k), N (T - k)], are computed for one step at a time; their probabilities
    are kept for the gradient.

    Source: van den Oord et al. 2018 (arXiv 1807.03748), equation 4, with the negatives of Anand et
    al. 2019 (arXiv 1906.08226).

    Args:
        predictions: float [B, T, K, D]; at [i, t, j] the prediction of sequence i for ``steps[j]``
            steps after time t.
        candidates: float [N, T, D], the actual vectors, gathered over ranks (see
            :func:`gather_rows`).
        steps: the K numbers of steps ahead, each 1 to T - 1.

    Returns:
        The loss, float [], in nats, at least 0; and the accuracy, float [], 0 to 1: how often the
        right vector has the highest logit, averaged over steps.

    Raises:
        ConfigurationError: no step has more than one vector to compare with.
    """
    _require_negatives(candidates[:, min(steps) :].flatten(0, 1).shape[0])
    losses, accuracies = [], []
    for step, predicted in zip(steps, predictions.unbind(2), strict=True):
        predicted = predicted[:, :-step].flatten(0, 1)  # [B (T - k), D]
        logits = predicted @ candidates[:, step:].flatten(0, 1).T
        targets = own_targets(len(predicted), logits.device)
        losses.append(F.cross_entropy(logits, targets))
        accuracies.append((logits.argmax(1) == targets).float().mean())
    return torch.stack(losses).sum(), torch.stack(accuracies).mean()
