"""The losses, as functions of features. No trainer in sight.

Shapes: B samples on this rank, N samples over all ranks (N = B without DDP), M positions of a local
map, C channels of it. Sample i's positive is sample i's other frame; everyone else's are negatives.
"""

from lightning_stdim.objectives.gather import gather_rows, own_noise, own_targets
from lightning_stdim.objectives.gaussian import gaussian_kl
from lightning_stdim.objectives.infonce import (
    GlobalGlobalInfoNCE,
    GlobalLocalInfoNCE,
    GlobalPositionInfoNCE,
    LocalLocalInfoNCE,
    future_infonce,
    positions,
)
from lightning_stdim.objectives.jensen_shannon import BilinearJSD
from lightning_stdim.objectives.non_contrastive import (
    cosine_loss,
    covariance_penalty,
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
    "future_infonce",
    "gather_rows",
    "gaussian_kl",
    "own_noise",
    "own_targets",
    "positions",
    "variance_hinge",
]
