"""BYOL: bootstrap your own latent."""

from __future__ import annotations

from torch import Tensor

from lightning_stdim.datamodules.batches import SequenceBatch
from lightning_stdim.methods.sequences import encode_sequences
from lightning_stdim.methods.target import TargetNetworkMethod
from lightning_stdim.objectives import cosine_loss, gather_rows


class BYOL(TargetNetworkMethod):
    """Bootstrap Your Own Latent between consecutive frames.

    The two frames are the two views. From each frame, the projector and the predictor predict the
    direction of the target network's projection of the other frame. There are no negatives.

    Logs ``loss``.

    Source: Grill et al. 2020 (arXiv 2006.07733), equation 2 and section 3. Two things differ. The
    decay is constant: in the paper it rises to 1 over a training of known length, which early
    stopping or resuming would change. The layers are smaller, as the encoder's vector is.
    """

    name = "byol"

    def loss(self, batch: SequenceBatch) -> dict[str, Tensor]:
        """Compute the sum of the losses of both directions; see :meth:`SSLMethod.loss`.

        Args:
            batch: pairs of frames.

        Returns:
            ``"loss"``, float [], 0 to 8.

        Raises:
            ConfigurationError: the batch does not hold pairs.
        """
        frames = batch.pair()
        vectors = gather_rows(encode_sequences(self.encoder, frames))  # [N, 2, D]
        other_views = self.targets(frames).flip(1)
        return {"loss": 2 * cosine_loss(self.predictions(vectors), other_views)}
