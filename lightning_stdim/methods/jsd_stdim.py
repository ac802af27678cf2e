"""JSD-ST-DIM: ST-DIM with the Jensen-Shannon estimator."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor

from lightning_stdim.datamodules.batches import SequenceBatch
from lightning_stdim.encoders import LocalGlobalEncoder, require_local_map
from lightning_stdim.errors import ConfigurationError
from lightning_stdim.methods.base import SSLMethod
from lightning_stdim.objectives import (
    BilinearJSD,
    flatten_positions,
    gather_rows,
    own_targets,
    require_several,
)


class JSDSTDIM(SSLMethod):
    """ST-DIM's two terms with bilinear critics and the Jensen-Shannon estimator.

    At every position, a critic distinguishes the past frame's local feature (the positive) from
    that of another frame (the negative), by binary cross-entropy. There is one negative per
    sample: another observation of the same episode, as in the reference implementation.

    Logs ``loss`` (the sum of the terms) and the terms ``global_local`` and ``local_local``, in
    nats; a critic at chance has 2 log 2 in each.

    Source: Anand et al. 2019 (arXiv 1906.08226), section 5, ablations; Hjelm et al. 2019 (arXiv
    1808.06670), equation 4.

    Args:
        negatives: where the negatives come from. ``"episode"``: another frame of the same episode.
            ``"batch"``: the past frame of the batch's next sample, mostly from another episode;
            this saves one pass of the encoder.
        **base: the arguments of :class:`SSLMethod`.

    Raises:
        EncoderError: the encoder has no local map.
    """

    name = "jsd-st-dim"
    encoder: LocalGlobalEncoder

    def __init__(self, *, negatives: Literal["episode", "batch"] = "episode", **base: Any) -> None:
        super().__init__(**base)
        self.needs_same_episode_frames = negatives == "episode"
        self.encoder = require_local_map(self.encoder, "JSD-ST-DIM")
        channels = self.encoder.local_channels
        self.global_local = BilinearJSD(self.encoder.feature_dim, channels)
        self.local_local = BilinearJSD(channels, channels)

    def loss(self, batch: SequenceBatch) -> dict[str, Tensor]:
        """Compute the two terms and their sum; see :meth:`SSLMethod.loss`.

        Args:
            batch: pairs of frames; for ``negatives="episode"`` with ``same_episode_frames``.

        Returns:
            ``"loss"``, ``"global_local"`` and ``"local_local"``, float [] each, in nats.

        Raises:
            ConfigurationError: the batch does not hold pairs, has no ``same_episode_frames``
                though they are the negatives, or holds only one pair though its next sample is.
        """
        frames = batch.pair().flatten(0, 1)
        if self.needs_same_episode_frames:
            if batch.same_episode_frames is None:
                raise ConfigurationError(
                    "JSD-ST-DIM needs batches with same_episode_frames: use a data module that "
                    'provides them, such as AtariDataModule, or negatives="batch"'
                )
            frames = torch.cat([frames, batch.same_episode_frames])
        local = self.encoder.local_map(frames)
        past, present, *same_episode = torch.split(local, len(batch.anchors))
        vector = self.encoder.global_layers(present)
        positive = flatten_positions(past)  # [B, M, C]
        negative = flatten_positions(same_episode[0]) if same_episode else _next_row(positive)
        global_local = self.global_local(vector.unsqueeze(1), positive, negative)
        local_local = self.local_local(flatten_positions(present), positive, negative)
        return {
            "loss": global_local + local_local,
            "global_local": global_local,
            "local_local": local_local,
        }


def _next_row(rows: Tensor) -> Tensor:
    """Return for each sample the row of the next sample, over all ranks."""
    gathered = gather_rows(rows)
    require_several(len(gathered), "one sample would be its own negative")
    return gathered[(own_targets(len(rows), rows.device) + 1) % len(gathered)]
