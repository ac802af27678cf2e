"""Static-DIM: contrasts a frame with its own parts."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from lightning_stdim.datamodules.batches import SequenceBatch
from lightning_stdim.encoders import LocalGlobalEncoder, require_local_map
from lightning_stdim.methods.base import SSLMethod
from lightning_stdim.objectives import GlobalLocalInfoNCE, gather_rows, positions


class StaticDIM(SSLMethod):
    """InfoNCE between a frame's global vector and its own local features: ST-DIM without time.

    Source: Anand et al. 2019 (arXiv 1906.08226), section 5, ablations; Hjelm et al. 2019 (arXiv
    1808.06670), equation 8.

    Args:
        **base: the arguments of :class:`SSLMethod`.

    Raises:
        EncoderError: if the backbone has no local map.
    """

    name = "static-dim"
    sequence_length = 1
    encoder: LocalGlobalEncoder

    def __init__(self, **base: Any) -> None:
        super().__init__(**base)
        self.encoder = require_local_map(self.encoder, "Static-DIM")
        self.global_local = GlobalLocalInfoNCE(
            self.encoder.feature_dim, self.encoder.local_channels
        )

    def loss(self, batch: SequenceBatch) -> dict[str, Tensor]:
        """Compute the objective; see :meth:`SSLMethod.loss`.

        Args:
            batch: frames; of longer sequences the last ones are taken.

        Returns:
            ``"loss"``, float [], in nats.
        """
        local, vector = self.encoder.feature_maps(batch.frames[-1])
        return {"loss": self.global_local(vector, gather_rows(positions(local)))}
