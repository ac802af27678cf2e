"""Global-T-DIM: InfoNCE between whole frames over time."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from lightning_stdim.datamodules.batches import SequenceBatch
from lightning_stdim.encoders import feature_dim_of
from lightning_stdim.methods.base import SSLMethod
from lightning_stdim.objectives import GlobalGlobalInfoNCE, gather_rows


class GlobalTDIM(SSLMethod):
    """InfoNCE between the global vectors of consecutive frames: ST-DIM without local features.

    Logs ``loss`` (nats).

    Source: Anand et al. 2019 (arXiv 1906.08226), section 5, ablations.

    Args:
        **base: the arguments of :class:`SSLMethod`.
    """

    name = "global-t-dim"

    def __init__(self, **base: Any) -> None:
        super().__init__(**base)
        self.global_global = GlobalGlobalInfoNCE(feature_dim_of(self.encoder, self.channels))

    def loss(self, batch: SequenceBatch) -> dict[str, Tensor]:
        """Compute the InfoNCE loss; see :meth:`SSLMethod.loss`.

        Args:
            batch: pairs of frames.

        Returns:
            ``"loss"``, float [], in nats.

        Raises:
            ConfigurationError: the batch does not hold pairs.
        """
        past, present = self(batch.pair().flatten(0, 1)).chunk(2)  # [B, D] each
        return {"loss": self.global_global(present, gather_rows(past))}
