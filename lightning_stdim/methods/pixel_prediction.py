"""PIXEL-PRED: the next frame, pixel by pixel."""

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

    The encoder's vector goes through a layer of 2048 units with ReLU, and a
    :class:`~lightning_stdim.decoders.MirrorDecoder` makes the next frame of them. The loss is the
    mean squared error over pixels and samples, in squared grey levels of 0 to 1.

    Source: Anand et al. 2019 (arXiv 1906.08226), section 5, after the feed-forward network of Oh et
    al. 2015 (arXiv 1507.08750), section 3.

    Args:
        encoder: dotted path of a backbone that a decoder can mirror, such as
            :class:`~lightning_stdim.encoders.NatureEncoder`.
        reference_head: the reference implementation's way: in place of the 2048 units a linear
            layer of the vector's own size, without an activation.
        **base: the other arguments of :class:`SSLMethod`.

    Raises:
        EncoderError: if the backbone cannot be mirrored.
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
        """Compute the prediction's error; see :meth:`SSLMethod.loss`.

        Args:
            batch: pairs of observations.

        Returns:
            ``"loss"``, float [].

        Raises:
            ConfigurationError: the batch holds other sequences than pairs.
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
        # The others of a stack are known already.
        newest = self.encoder.scaled(following)[:, -self.channels :]
        return newest, self.predict(self.encoder(present))
