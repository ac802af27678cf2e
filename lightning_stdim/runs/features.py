"""``features.npz``: an encoder's vectors for the probe frames, with their labels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from torch import Tensor

from lightning_stdim.datamodules.batches import ProbeData
from lightning_stdim.utils.files import atomically

FILE = "features.npz"


def write_features(folder: Path, vectors: Tensor, data: ProbeData) -> Path:
    """Write ``features.npz`` atomically.

    Args:
        folder: the run's directory; it is made if it is missing.
        vectors: float [N, D], one for each frame.
        data: the N frames, in the same order.

    Returns:
        The path of the file, with ``features`` (float32 [N, D]), ``labels`` (int64 [N, V]) and
        ``variables``, the names of the V columns.

    Raises:
        StoreError: it cannot be written.
    """
    path = folder / FILE
    with atomically(path) as temporary, temporary.open("wb") as file:
        np.savez(
            file,
            features=vectors.float().cpu().numpy(),
            labels=data.labels.numpy(),
            variables=np.array(data.variables),
        )
    return path
