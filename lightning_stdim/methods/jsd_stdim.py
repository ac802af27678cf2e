"""JSD-ST-DIM: ST-DIM with another estimator."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor

from lightning_stdim.datamodules.batches import SequenceBatch
from lightning_stdim.encoders import LocalGlobalEncoder, require_local_map
from lightning_stdim.errors import ConfigurationError
from lightning_stdim.methods.base import SSLMethod
from lightning_stdim.objectives import BilinearJSD, flatten_positions, gather_rows, own_targets


class JSDSTDIM(SSLMethod):
    """ST-DIM's two terms with bilinear critics and the Jensen-Shannon estimator.

    For every position a critic tells the past frame's local feature from another one's: by binary
    cross-entropy, a positive and a negative per sample. The negative is another observation of the
    same episode, as in the reference.

    Logs ``global_local`` and ``local_local`` (nats; 2 log 2 at chance) beside ``loss``, their sum.

    Source: Anand et al. 2019 (arXiv 1906.08226), section 5, ablations; Hjelm et al. 2019 (arXiv
    1808.06670), equation 4.

    Args:
        negatives: where they come from: ``"episode"``, or ``"batch"``: the next sample's past
            frame, most often of another episode, which saves a pass of the encoder.
        **base: the arguments of :class:`SSLMethod`.

    Raises:
        EncoderError: if the backbone has no local map.
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
            batch: pairs of frames, with other observations of their episodes if those are the
                negatives.

        Returns:
            ``"loss"``, ``"global_local"`` and ``"local_local"``, float [] each, in nats.

        Raises:
            ConfigurationError: the batch holds other sequences than pairs, or lacks the negatives.
        """
        frames = batch.pair().flatten(0, 1)
        if self.needs_same_episode_frames:
            if batch.same_episode_frames is None:
                raise ConfigurationError(
                    'JSD-ST-DIM needs batches with other observations: use negatives="batch", or a '
                    "data module that heeds needs_same_episode_frames"
                )
            frames = torch.cat([frames, batch.same_episode_frames])
        local = self.encoder.local_map(frames)
        past, present, *others = torch.split(local, len(batch.anchors))
        vector = self.encoder.global_layers(present)
        positive = flatten_positions(past)  # [B, M, C]
        negative = flatten_positions(others[0]) if others else _next(positive)
        global_local = self.global_local(vector.unsqueeze(1), positive, negative)
        local_local = self.local_local(flatten_positions(present), positive, negative)
        return {
            "loss": global_local + local_local,
            "global_local": global_local,
            "local_local": local_local,
        }


def _next(rows: Tensor) -> Tensor:
    """Give each sample the next one's row, over all ranks."""
    gathered = gather_rows(rows)
    return gathered[(own_targets(len(rows), rows.device) + 1) % len(gathered)]
