"""The methods' losses as functions of features, independent of any trainer.

Sizes in shapes: B samples on this rank, N samples on all ranks (N = B without DDP), M positions and
C channels of a local map. The positive of sample i is the other frame of sample i; the other
frames of all other samples are its negatives.
"""

from lightning_stdim.objectives.gather import (
    gather_rows,
    own_targets,
    rank_noise,
    require_several,
)
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
    "require_several",
    "variance_hinge",
]
