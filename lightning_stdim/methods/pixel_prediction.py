"""PIXEL-PRED: prediction of the next frame's pixels."""

from __future__ import annotations

from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from lightning_stdim.datamodules.batches import SequenceBatch
from lightning_stdim.decoders import MirrorDecoder
from lightning_stdim.encoders import LocalGlobalEncoder, require_local_map
from lightning_stdim.methods.base import SSLMethod


class PixelPrediction(SSLMethod):
    """Prediction of the next frame from the present observation, without the action.

    The encoder's vector goes through a layer of 2048 units with ReLU; from these a
    :class:`~lightning_stdim.decoders.MirrorDecoder` makes the next frame. The loss is the squared
    error averaged over pixels and samples, with pixels from 0 to 1.

    Logs ``loss``.

    Source: Anand et al. 2019 (arXiv 1906.08226), section 5, after the feed-forward network of Oh et
    al. 2015 (arXiv 1507.08750), section 3.

    Args:
        encoder: dotted path of the encoder's class. A decoder must be able to mirror it, as it can
            ``lightning_stdim.encoders.NatureEncoder``.
        reference_head: replace the 2048 units by a linear layer of the vector's size without an
            activation, as in the reference implementation.
        **base: the other arguments of :class:`SSLMethod`.

    Raises:
        EncoderError: the encoder cannot be mirrored.
    """

    encoder: LocalGlobalEncoder

    name = "pixel-pred"
    units = 2048

    def __init__(
        self,
        *,
        encoder: str | None = None,
        reference_head: bool = False,
        **base: Any,
    ) -> None:
        super().__init__(encoder=encoder, **base)
        self.encoder = require_local_map(self.encoder, "PIXEL-PRED")
        size = self.encoder.feature_dim
        hidden = size if reference_head else self.units
        self.predict = nn.Sequential(
            nn.Linear(size, hidden),
            nn.Identity() if reference_head else nn.ReLU(),
            MirrorDecoder(self.encoder, hidden, out_channels=self.channels),
        )

    def loss(self, batch: SequenceBatch) -> dict[str, Tensor]:
        """Compute the mean squared error; see :meth:`SSLMethod.loss`.

        Args:
            batch: pairs of observations.

        Returns:
            ``"loss"``, float [].

        Raises:
            ConfigurationError: the batch does not hold pairs.
        """
        target, predicted = self.reconstruct(batch)
        return {"loss": F.mse_loss(predicted, target)}

    def reconstruct(self, batch: SequenceBatch) -> tuple[Tensor, Tensor]:
        """Predict each pair's second frame from the first observation.

        Args:
            batch: pairs of observations.

        Returns:
            The newest frames and their predictions, float [B, 1, height, width] each (3 for
            RGB), values 0 to 1.
        """
        present, following = batch.pair()
        # The older frames of a stack are in the present observation already.
        newest = self.encoder.scaled(following)[:, -self.channels :]
        return newest, self.predict(self.encoder(present))
