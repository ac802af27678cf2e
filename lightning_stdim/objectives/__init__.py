"""The losses, as functions of features. No trainer in sight.

Shapes: B samples on this rank, N samples over all ranks (N = B without DDP), M positions of a local
map, C channels of it. Sample i's positive is sample i's other frame; everyone else's are negatives.
"""

from lightning_stdim.objectives.gather import gather_rows, own_targets, rank_noise
from lightning_stdim.objectives.infonce import (
    GlobalGlobalInfoNCE,
    GlobalLocalInfoNCE,
    GlobalPositionInfoNCE,
    LocalLocalInfoNCE,
    flatten_positions,
    future_infonce,
)
from lightning_stdim.objectives.jensen_shannon import BilinearJSD
from lightning_stdim.objectives.non_contrastive import (
    cosine_loss,
    covariance_penalty,
    gaussian_kl,
    variance_hinge,
)

__all__ = [
    "BilinearJSD",
    "GlobalGlobalInfoNCE",
    "GlobalLocalInfoNCE",
    "GlobalPositionInfoNCE",
    "LocalLocalInfoNCE",
    "cosine_loss",
    "covariance_penalty",
    "flatten_positions",
    "future_infonce",
    "gather_rows",
    "gaussian_kl",
    "own_targets",
    "rank_noise",
    "variance_hinge",
]
