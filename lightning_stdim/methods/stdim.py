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
from lightning_stdim.utils.checks import one_of


class STDIM(SSLMethod):
    """Spatiotemporal DeepInfoMax between consecutive frames.

    The loss is the sum of two InfoNCE terms, each averaged over the positions of the local map.
    The global-local term compares the present frame's global vector with the past frame's local
    features. The local-local term compares the two frames' local features at the same position.

    With global vectors z, local features f[m] at position m and frames s (the past) and t (the
    present), the logits of samples i and j are

        ``predict="past"``:    (W1 z_t,i + b1) . f_s,j[m]  and  (W2 f_t,i[m] + b2) . f_s,j[m]
        ``predict="present"``: (W1 z_s,i + b1) . f_t,j[m]  and  (W2 f_s,i[m] + b2) . f_t,j[m]

    and each term is the cross-entropy of row i against class i.

    Logs ``loss`` (the sum of the terms) and the terms ``global_local`` and ``local_local``, in
    nats.

    Source: Anand et al. 2019 (arXiv 1906.08226), section 3, equations 1 to 3. The default direction
    of time is the reference implementation's.

    Args:
        predict: the frame whose local features are predicted from the other one: ``"past"``, or
            ``"present"`` as in the challenge report on the paper.
        terms: the terms of the loss: ``"both"``, or one alone. With ``"local-local"`` the layers
            of the global vector are never trained: the probes see a random projection of trained
            local features.
        encoder: dotted path of the encoder's class. It must have a local map: be a subclass of
            ``lightning_stdim.encoders.LocalGlobalEncoder``.
        **base: the other arguments of :class:`SSLMethod`.

    Raises:
        ConfigurationError: ``predict`` is neither of its values.
        EncoderError: the encoder has no local map.
    """

    name = "st-dim"
    encoder: LocalGlobalEncoder

    def __init__(
        self,
        *,
        predict: Literal["past", "present"] = "past",
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
        self.predict = one_of("model.predict", predict, ("past", "present"))

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
        # Both frames go through the local layers in one pass; only one of them goes further.
        predicted, known = self.encoder.local_map(batch.pair().flatten(0, 1)).chunk(2)
        if self.predict == "present":
            predicted, known = known, predicted
        candidates = gather_rows(flatten_positions(predicted))  # [N, M, C]
        terms: dict[str, Tensor] = {}
        if self.terms != "local-local":
            vector = self.encoder.global_layers(known)
            terms["global_local"] = self.global_local(vector, candidates)
        if self.terms != "global-local":
            terms["local_local"] = self.local_local(flatten_positions(known), candidates)
        return {"loss": torch.stack(list(terms.values())).sum(), **terms}
