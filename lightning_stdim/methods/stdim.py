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

    The loss is the sum of two InfoNCE terms, each averaged over the positions of the local map.
    The global-local term compares the present frame's global vector with the past frame's local
    features. The local-local term compares the two frames' local features at the same position.

    Logs ``loss`` (the sum of the terms) and the terms ``global_local`` and ``local_local``, in
    nats.

    Source: Anand et al. 2019 (arXiv 1906.08226), section 3, equations 1 to 3.

    Args:
        terms: the terms of the loss: ``"both"``, or one alone. With ``"local-local"`` the layers
            of the global vector are never trained: the probes see a random projection of trained
            local features.
        encoder: dotted path of the encoder's class. It must have a local map: be a subclass of
            ``lightning_stdim.encoders.LocalGlobalEncoder``.
        **base: the other arguments of :class:`SSLMethod`.

    Raises:
        EncoderError: the encoder has no local map.
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
        # Under DDP every trainable parameter must get a gradient: leave out what the loss ignores.
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
            ``"loss"``, and ``"global_local"`` and ``"local_local"`` if they are terms of it;
            float [] each, in nats.

        Raises:
            ConfigurationError: the batch does not hold pairs.
        """
        # Both frames go through the local layers in one pass; only the present one goes further.
        past, present = self.encoder.local_map(batch.pair().flatten(0, 1)).chunk(2)
        candidates = gather_rows(flatten_positions(past))  # [N, M, C]
        terms: dict[str, Tensor] = {}
        if self.terms != "local-local":
            vector = self.encoder.global_layers(present)
            terms["global_local"] = self.global_local(vector, candidates)
        if self.terms != "global-local":
            terms["local_local"] = self.local_local(flatten_positions(present), candidates)
        return {"loss": torch.stack(list(terms.values())).sum(), **terms}
