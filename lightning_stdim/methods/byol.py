"""BYOL: bootstrap your own latent."""

from __future__ import annotations

from torch import Tensor

from lightning_stdim.datamodules.batches import SequenceBatch
from lightning_stdim.methods.sequences import encode_sequences
from lightning_stdim.methods.target import TargetNetworkMethod
from lightning_stdim.objectives import cosine_loss, gather_rows


class BYOL(TargetNetworkMethod):
    """Bootstrap Your Own Latent between consecutive frames.

    The two frames are the two views: from each one, projector and predictor predict the direction
    of the target network's projection of the other one. There are no negatives.

    Source: Grill et al. 2020 (arXiv 2006.07733), equation 2 and section 3. Differs in the decay,
    which stays as it is instead of rising to 1 over a training whose length early stopping or
    resuming may change, and in the smaller layers, after the smaller vector.
    """

    name = "byol"

    def loss(self, batch: SequenceBatch) -> dict[str, Tensor]:
        """Compute the sum over both directions; see :meth:`SSLMethod.loss`.

        Args:
            batch: pairs of frames.

        Returns:
            ``"loss"``, float [], 0 to 8.

        Raises:
            ConfigurationError: the batch holds other sequences than pairs.
        """
        frames = batch.pair()
        vectors = gather_rows(encode_sequences(self.encoder, frames))  # [N, 2, D]
        others = self.targets(frames).flip(1)
        return {"loss": 2 * cosine_loss(self.predictions(vectors), others)}
