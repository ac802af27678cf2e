"""ST-DIM: spatiotemporal deep infomax."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor

from lightning_stdim.datamodules.batches import SequenceBatch
from lightning_stdim.encoders import LocalGlobalEncoder, require_local_map
from lightning_stdim.methods.base import SSLMethod
from lightning_stdim.objectives import (
    GlobalLocalInfoNCE,
    LocalLocalInfoNCE,
    flatten_positions,
    gather_rows,
)


class STDIM(SSLMethod):
    """Spatiotemporal DeepInfoMax between consecutive frames.

    The sum of two InfoNCE terms, each a mean over the positions of the local map: the present
    frame's global vector against the past frame's local features, and local features against
    local features of the same position. The past frame is encoded up to its local map only.

    Logs ``global_local`` and ``local_local`` (nats) beside ``loss``, their sum.

    Source: Anand et al. 2019 (arXiv 1906.08226), section 3, equations 1 to 3.

    Args:
        terms: both, or one alone. With ``"local-local"`` the global vector is never trained: what
            is probed is a random reading of trained local features.
        encoder: dotted path of a backbone with a local map, a
            :class:`~lightning_stdim.encoders.LocalGlobalEncoder`.
        **base: the other arguments of :class:`SSLMethod`.

    Raises:
        EncoderError: if the backbone has no local map.
    """

    name = "st-dim"
    encoder: LocalGlobalEncoder

    def __init__(
        self,
        *,
        terms: Literal["both", "global-local", "local-local"] = "both",
        encoder: str | None = None,
        **base: Any,
    ) -> None:
        super().__init__(encoder=encoder, **base)
        self.encoder = require_local_map(self.encoder, "ST-DIM")
        channels = self.encoder.local_channels
        # What a loss does not use may not be there: other devices would wait for its gradient.
        if terms != "local-local":
            self.global_local = GlobalLocalInfoNCE(self.encoder.feature_dim, channels)
        else:
            self.encoder.global_layers.requires_grad_(False)
        if terms != "global-local":
            self.local_local = LocalLocalInfoNCE(channels)
        self.terms = terms

    def loss(self, batch: SequenceBatch) -> dict[str, Tensor]:
        """Compute the terms and their sum; see :meth:`SSLMethod.loss`.

        Args:
            batch: pairs of frames.

        Returns:
            ``"loss"``, ``"global_local"`` and ``"local_local"``, float [] each, in nats; of the
            two terms those that are on.

        Raises:
            ConfigurationError: the batch holds other sequences than pairs.
        """
        # Both frames in one pass up to the local map; only the present one needs the rest.
        past, present = self.encoder.local_map(batch.pair().flatten(0, 1)).chunk(2)
        candidates = gather_rows(flatten_positions(past))  # [N, M, C]
        terms: dict[str, Tensor] = {}
        if self.terms != "local-local":
            vector = self.encoder.global_layers(present)
            terms["global_local"] = self.global_local(vector, candidates)
        if self.terms != "global-local":
            terms["local_local"] = self.local_local(flatten_positions(present), candidates)
        return {"loss": torch.stack(list(terms.values())).sum(), **terms}
