"""Target networks: what a method without negatives predicts."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from lightning_stdim.encoders import feature_dim_of
from lightning_stdim.errors import ConfigurationError
from lightning_stdim.methods.base import SSLMethod
from lightning_stdim.methods.heads import MLP
from lightning_stdim.methods.sequences import encode_sequences
from lightning_stdim.objectives import gather_rows


class TargetNetworkMethod(SSLMethod):
    """A method that predicts what a slow copy of its own encoder and projector makes of frames.

    The copy, the *target*, is an exponential moving average of the online weights, updated once
    per optimiser step and never by a gradient. Batch statistics are over all ranks.

    Neither early stopping nor the choice of a checkpoint goes by the loss: with a target that
    moves, its values at different times do not compare. The last checkpoint is kept.

    Args:
        hidden_dim: width of the projector's and the predictor's hidden layer.
        projection_dim: P, size of what is predicted.
        decay: of the moving average, 0 to less than 1.
        **base: the other arguments of :class:`SSLMethod`.

    Raises:
        ConfigurationError: a value is out of its range.
        EncoderError: the backbone does not map frames to vectors.
    """

    monitor = None

    def __init__(
        self,
        *,
        hidden_dim: int = 1024,
        projection_dim: int = 256,
        decay: float = 0.99,
        **base: Any,
    ) -> None:
        super().__init__(**base)
        if not 0 <= decay < 1:
            raise ConfigurationError(f"model.decay={decay} must be at least 0 and less than 1")
        feature_dim = feature_dim_of(self.encoder, self.channels)
        self.projector = MLP(feature_dim, hidden_dim, projection_dim)
        self.predictor = MLP(projection_dim, hidden_dim, projection_dim)
        self.decay = decay
        self.target = deepcopy(self._online()).requires_grad_(False)

    def _online(self) -> nn.Sequential:
        return nn.Sequential(self.encoder, self.projector)

    def predictions(self, vectors: Tensor) -> Tensor:
        """Predict the target's projections from the online encoder's vectors.

        Args:
            vectors: float [N, T, D], gathered over ranks.

        Returns:
            float [N, T, P].
        """
        predicted: Tensor = self.predictor(self.projector(vectors.flatten(0, 1)))
        return predicted.view(*vectors.shape[:2], -1)

    @torch.no_grad()
    def targets(self, frames: Tensor) -> Tensor:
        """Compute the target's projections of frames.

        Args:
            frames: uint8 [T, B, C, 210, 160], values 0 to 255.

        Returns:
            float [N, T, P], of all ranks, without a gradient.
        """
        encoder, projector = self.target.children()
        vectors = gather_rows(encode_sequences(encoder, frames))
        projected: Tensor = projector(vectors.flatten(0, 1))
        return projected.view(*vectors.shape[:2], -1)

    def optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        """Take the optimiser's step, and have the target follow.

        Args:
            *args: of ``LightningModule.optimizer_step``.
            **kwargs: of the same.
        """
        super().optimizer_step(*args, **kwargs)
        self.follow()

    def follow(self) -> None:
        """Move the target towards the online weights: once per step of the optimiser."""
        # AveragedModel would do, but it asks the device for its count of updates in every step.
        average = get_ema_multi_avg_fn(self.decay)  # type: ignore[no-untyped-call]
        online = self._online()
        average(list(self.target.parameters()), list(online.parameters()), None)
        for ours, theirs in zip(self.target.buffers(), online.buffers(), strict=True):
            ours.copy_(theirs)
