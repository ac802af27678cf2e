"""Methods with a target network: an averaged copy of the encoder that makes the targets."""

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
from lightning_stdim.objectives import gather_rows, require_several


class TargetNetworkMethod(SSLMethod):
    """A method that predicts the output of a target network, with a target that follows slowly.

    The online network is the encoder and a projector. The *target network* is a copy of both whose
    weights are an exponential moving average of the online weights, updated after every optimiser
    step and never by a gradient. Batch statistics are taken over all ranks.

    The loss decides neither early stopping nor the best checkpoint, because values at different
    times have different targets and do not compare. Training runs to the last epoch, and the last
    checkpoint is kept.

    Args:
        hidden_dim: number of units in the hidden layer of the projector and of the predictor.
        projection_dim: size of the projected vectors, P.
        decay: decay of the moving average, at least 0 and less than 1.
        **base: the other arguments of :class:`SSLMethod`.

    Raises:
        ConfigurationError: a value is out of its range.
        EncoderError: the encoder does not map frames to vectors.
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
        """Predict the target network's projections from the online encoder's vectors.

        Args:
            vectors: float [N, T, D], gathered over ranks.

        Returns:
            float [N, T, P].

        Raises:
            ConfigurationError: there is only one sample. Its T vectors are much alike, and
                normalising them would leave little but noise.
        """
        require_several(len(vectors), "one sample cannot be normalised over the batch")
        predicted: Tensor = self.predictor(self.projector(vectors.flatten(0, 1)))
        return predicted.view(*vectors.shape[:2], -1)

    @torch.no_grad()
    def targets(self, frames: Tensor) -> Tensor:
        """Compute the target network's projections of frames.

        Args:
            frames: uint8 [T, B, C, 210, 160], values 0 to 255.

        Returns:
            float [N, T, P], gathered over ranks, without a gradient.
        """
        encoder, projector = self.target.children()
        vectors = gather_rows(encode_sequences(encoder, frames))
        projected: Tensor = projector(vectors.flatten(0, 1))
        return projected.view(*vectors.shape[:2], -1)

    def optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        """Take an optimiser step, then update the target network.

        Args:
            *args: positional arguments of ``LightningModule.optimizer_step``.
            **kwargs: its keyword arguments.
        """
        super().optimizer_step(*args, **kwargs)
        self.update_target()

    def update_target(self) -> None:
        """Move the target's weights towards the online weights, and copy the buffers."""
        # AveragedModel reads its count of updates from the device in every step, and so waits.
        average = get_ema_multi_avg_fn(self.decay)  # type: ignore[no-untyped-call]
        online = self._online()
        average(list(self.target.parameters()), list(online.parameters()), None)
        for target, source in zip(self.target.buffers(), online.buffers(), strict=True):
            target.copy_(source)
