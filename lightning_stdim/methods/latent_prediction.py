"""Latent prediction: the vectors of the next frames, as a target network encodes them."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from lightning_stdim.datamodules.batches import SequenceBatch
from lightning_stdim.encoders import feature_dim_of
from lightning_stdim.encoders.layers import Float32Linear
from lightning_stdim.errors import ConfigurationError
from lightning_stdim.methods.target import TargetNetworkMethod
from lightning_stdim.objectives import cosine_loss, gather_rows


class LatentPrediction(TargetNetworkMethod):
    """Prediction of the next K latent vectors from one frame.

    The online encoder sees the first frame of a sequence. A transition model (a residual network
    with one hidden layer) advances its vector by one step, K times in a row. From each of the K
    vectors, the projector and the predictor predict the direction of the target network's
    projection of the frame at that step. Like other joint-embedding predictive methods, this
    predicts no pixels and needs no negatives.

    Logs ``loss``.

    Source: SPR, Schwarzer et al. 2021 (arXiv 2007.05929), section 2. Three things differ: there
    are no actions and no augmentation; the transition acts on vectors instead of local maps; and
    the loss is 2 - 2 cos averaged over steps instead of -cos summed over steps, the same up to a
    constant and a factor.

    Args:
        steps: number of steps that are predicted, K, at least 1; sequences have K + 1 frames.
        **base: the other arguments of :class:`TargetNetworkMethod` and :class:`SSLMethod`.

    Raises:
        ConfigurationError: a value is out of its range.
        EncoderError: the encoder does not map frames to vectors.
    """

    name = "latent-prediction"

    def __init__(self, *, steps: int = 5, **base: Any) -> None:
        super().__init__(**base)
        if steps < 1:
            raise ConfigurationError(f"model.steps={steps} must be at least 1")
        self.steps = steps
        self.sequence_length = steps + 1
        dim = feature_dim_of(self.encoder, self.channels)
        self.transition = nn.Sequential(
            nn.LayerNorm(dim),
            Float32Linear(dim, 2 * dim),
            nn.ReLU(inplace=True),
            Float32Linear(2 * dim, dim),
        )

    def loss(self, batch: SequenceBatch) -> dict[str, Tensor]:
        """Compute the mean of the losses of all steps; see :meth:`SSLMethod.loss`.

        Args:
            batch: sequences of K + 1 frames.

        Returns:
            ``"loss"``, float [], 0 to 4.

        Raises:
            ConfigurationError: the batch holds sequences of another length.
        """
        frames = batch.sequences(self.sequence_length)
        latent = gather_rows(self(frames[0]))  # [N, D]
        latents = []
        for _ in range(self.steps):
            latent = latent + self.transition(latent)
            latents.append(latent)
        predictions = self.predictions(torch.stack(latents, 1))  # [N, K, P]
        return {"loss": cosine_loss(predictions, self.targets(frames[1:]))}
