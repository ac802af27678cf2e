"""ST-DIM: spatiotemporal deep infomax."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from lightning_stdim.datamodules.batches import SequenceBatch
from lightning_stdim.encoders import LocalGlobalEncoder, require_local_map
from lightning_stdim.errors import ConfigurationError
from lightning_stdim.methods.base import SSLMethod
from lightning_stdim.objectives import (
    GlobalLocalInfoNCE,
    LocalLocalInfoNCE,
    gather_rows,
    positions,
)


class STDIM(SSLMethod):
    """Spatiotemporal DeepInfoMax between consecutive frames.

    The sum of two InfoNCE terms, each a mean over the positions of the local map: the present
    frame's global vector against the past frame's local features, and local features against
    local features of the same position. The past frame is encoded up to its local map only.

    Logs ``global_local`` and ``local_local`` (nats) beside ``loss``, their sum.

    Source: Anand et al. 2019 (arXiv 1906.08226), section 3, equations 1 to 3.

    Args:
        encoder: dotted path of a backbone with a local map, a
            :class:`~lightning_stdim.encoders.LocalGlobalEncoder`.
        **base: the other arguments of :class:`SSLMethod`.

    Raises:
        EncoderError: if the backbone has no local map.
    """

    encoder: LocalGlobalEncoder

    name = "st-dim"

    def __init__(
        self, *, encoder: str = "lightning_stdim.encoders.NatureEncoder", **base: Any
    ) -> None:
        super().__init__(encoder=encoder, **base)
        self.encoder = require_local_map(self.encoder, "ST-DIM")
        self.global_local = GlobalLocalInfoNCE(
            self.encoder.feature_dim, self.encoder.local_channels
        )
        self.local_local = LocalLocalInfoNCE(self.encoder.local_channels)

    def loss(self, batch: SequenceBatch) -> dict[str, Tensor]:
        """Compute the two terms and their sum; see :meth:`SSLMethod.loss`.

        Args:
            batch: pairs of frames.

        Returns:
            ``"loss"``, ``"global_local"`` and ``"local_local"``, float [] each, in nats.

        Raises:
            ConfigurationError: the batch holds other sequences than pairs.
        """
        if len(batch.frames) != 2:
            raise ConfigurationError(
                f"ST-DIM takes pairs of frames, not sequences of {len(batch.frames)}: "
                "leave out --data.sequence_length"
            )
        # Both frames in one pass up to the local map; only the present one needs the rest.
        past, present = self.encoder.local_map(batch.frames.flatten(0, 1)).chunk(2)
        vector = self.encoder.global_layers(present)
        candidates = gather_rows(positions(past))  # [N, M, C]
        global_local = self.global_local(vector, candidates)
        local_local = self.local_local(positions(present), candidates)
        return {
            "loss": global_local + local_local,
            "global_local": global_local,
            "local_local": local_local,
        }
