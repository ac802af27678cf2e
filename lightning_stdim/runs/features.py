"""``features.npz``: an encoder's vectors for the probe frames, with their labels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from torch import Tensor

from lightning_stdim.datamodules.batches import ProbeData
from lightning_stdim.utils.files import atomically

FILE = "features.npz"
PARTIAL = "features-partial.npz"
"""The file of some of the frames, so that it never takes the place of the complete one."""


def write_features(folder: Path, vectors: Tensor, data: ProbeData) -> Path:
    """Write ``features.npz`` atomically, or ``features-partial.npz`` if not all frames are encoded.

    Args:
        folder: the run's directory; it is made if it is missing.
        vectors: float [N, D], one for each of the first N frames.
        data: the frames, at least N, in the same order.

    Returns:
        The path of the file, with ``features`` (float32 [N, D]), ``labels`` (int64 [N, V]),
        ``positions`` (int64 [N], each row's frame among those of the data) and ``variables``, the
        names of the V columns.

    Raises:
        StoreError: it cannot be written.
    """
    count = len(vectors)
    path = folder / (FILE if count == len(data.labels) else PARTIAL)
    with atomically(path) as temporary, temporary.open("wb") as file:
        np.savez(
            file,
            features=vectors.float().cpu().numpy(),
            labels=data.labels[:count].numpy(),
            positions=np.arange(count),
            variables=np.array(data.variables),
        )
    return path
