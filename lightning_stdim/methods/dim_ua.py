"""DIM-UA: ST-DIM with an unbalanced atlas."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from lightning_stdim.datamodules.batches import SequenceBatch
from lightning_stdim.encoders import UnionEncoder
from lightning_stdim.errors import ConfigurationError, EncoderError
from lightning_stdim.methods.base import SSLMethod
from lightning_stdim.objectives import (
    GlobalLocalInfoNCE,
    LocalLocalInfoNCE,
    flatten_positions,
    gather_rows,
)


class DIMUA(SSLMethod):
    """ST-DIM with an unbalanced atlas: the global vector is made of several charts.

    The encoder, a :class:`~lightning_stdim.encoders.UnionEncoder`, returns n charts per frame and
    a membership: a probability for each chart. In training, the present frame's vector is the
    plain mean of its charts; in validation, their sum weighted by membership. The probes see the
    most probable chart alone. A third term drives the membership q away from the uniform
    distribution: minus ``weight`` times the mean over both frames of ``sum_i (q_i - 1/n)^2``.

    Logs ``loss``, ``global_local`` and ``local_local`` (nats), and ``unbalance`` (the third term
    without its weight, 0 to 1 - 1/n).

    Source: Meng et al. 2024 (arXiv 2305.10267).

    Args:
        weight: weight of the third term, which unbalances the membership of the charts; 0 or more.
        encoder: dotted path of the encoder's class, a ``UnionEncoder`` or a subclass of it.
        **base: the other arguments of :class:`SSLMethod`.

    Raises:
        ConfigurationError: the weight is negative.
        EncoderError: the encoder has no charts.
    """

    name = "dim-ua"
    default_encoder = "lightning_stdim.encoders.UnionEncoder"
    encoder: UnionEncoder

    def __init__(
        self,
        *,
        weight: float = 0.1,
        encoder: str | None = None,
        **base: Any,
    ) -> None:
        super().__init__(encoder=encoder, **base)
        if weight < 0:
            raise ConfigurationError(f"weight={weight} must be 0 or more")
        if not isinstance(self.encoder, UnionEncoder):
            raise EncoderError(
                "DIM-UA needs an encoder with charts, a UnionEncoder, not "
                f"{type(self.encoder).__name__}"
            )
        channels = self.encoder.local_channels
        self.global_local = GlobalLocalInfoNCE(self.encoder.feature_dim, channels)
        self.local_local = LocalLocalInfoNCE(channels)
        self.weight = weight

    def loss(self, batch: SequenceBatch) -> dict[str, Tensor]:
        """Compute the three terms and their sum; see :meth:`SSLMethod.loss`.

        Args:
            batch: pairs of frames.

        Returns:
            ``"loss"``, ``"global_local"``, ``"local_local"`` and ``"unbalance"``, float [] each.

        Raises:
            ConfigurationError: the batch does not hold pairs.
        """
        local = self.encoder.local_map(batch.pair().flatten(0, 1))
        charts, membership = self.encoder.charts(local)  # [2 B, n, D], [2 B, n]
        past, present = local.chunk(2)
        charts, weights = charts.chunk(2)[1], membership.chunk(2)[1].unsqueeze(2)
        vector = charts.mean(1) if self.training else (weights * charts).sum(1)  # [B, D]
        candidates = gather_rows(flatten_positions(past))
        global_local = self.global_local(vector, candidates)
        local_local = self.local_local(flatten_positions(present), candidates)
        # The mean over both frames is the paper's half of the sum of the two frames' means.
        unbalance = (membership - 1 / membership.shape[1]).square().sum(1).mean()
        return {
            "loss": global_local + local_local - self.weight * unbalance,
            "global_local": global_local,
            "local_local": local_local,
            "unbalance": unbalance,
        }
