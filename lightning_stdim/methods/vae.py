"""VAE: the variational autoencoder of the ST-DIM paper."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lightning_stdim.datamodules.batches import SequenceBatch
from lightning_stdim.decoders import MirrorDecoder
from lightning_stdim.encoders import LocalGlobalEncoder, require_local_map
from lightning_stdim.encoders.layers import Float32Linear
from lightning_stdim.errors import ConfigurationError, EncoderError
from lightning_stdim.methods.base import SSLMethod
from lightning_stdim.objectives import gaussian_kl, rank_noise


class VAE(SSLMethod):
    """A variational autoencoder of single observations.

    The encoder's vector is the mean of a diagonal Gaussian, and this mean is what the probes see.
    A second linear layer, parallel to the encoder's last one, gives the logarithm of the variance.
    A :class:`~lightning_stdim.decoders.MirrorDecoder` reconstructs the frame from a sample of the
    Gaussian. The loss is the squared error summed over pixels plus the Kullback-Leibler divergence
    from the standard normal distribution; both are averaged over samples.

    Logs ``loss`` (the sum of the terms), ``reconstruction`` (the squared error, with pixels from 0
    to 1) and ``kl`` (nats). The noise of an epoch depends on the seed and the epoch alone.

    Source: Kingma & Welling 2014 (arXiv 1312.6114), equation 10; Anand et al. 2019 (arXiv
    1906.08226), section 5. The summed squared error is, up to a constant, the negative
    log-likelihood of Gaussian pixels of variance 1/2.

    Args:
        encoder: dotted path of the encoder's class. A decoder must be able to mirror it, as it can
            ``lightning_stdim.encoders.NatureEncoder``.
        **base: the other arguments of :class:`SSLMethod`.

    Raises:
        EncoderError: the encoder cannot be mirrored, or does not end in a linear layer.
    """

    encoder: LocalGlobalEncoder

    name = "vae"
    sequence_length = 1

    def __init__(self, *, encoder: str | None = None, **base: Any) -> None:
        super().__init__(encoder=encoder, **base)
        self.encoder = require_local_map(self.encoder, "VAE")
        self.decoder = MirrorDecoder(self.encoder)
        mean = self.encoder.global_layers[-1]
        if not isinstance(mean, nn.Linear):
            raise EncoderError(
                "VAE needs an encoder whose last layer is linear: that of "
                f"{type(self.encoder).__name__} is {mean}"
            )
        self.log_variance = Float32Linear(mean.in_features, mean.out_features)
        self.generator: torch.Generator | None = None

    def on_train_epoch_start(self) -> None:
        """Seed the epoch's noise, so that a resumed run draws the noise of an uninterrupted one."""
        seed = torch.initial_seed() % 2**32 + 2**32 * self.current_epoch
        self.generator = torch.Generator(self.device).manual_seed(seed)

    def loss(self, batch: SequenceBatch) -> dict[str, Tensor]:
        """Compute the two terms and their sum; see :meth:`SSLMethod.loss`.

        Args:
            batch: single observations.

        Returns:
            ``"loss"``, ``"reconstruction"`` and ``"kl"``, float [] each.

        Raises:
            ConfigurationError: the batch holds sequences of several frames.
        """
        if len(batch.frames) != 1:
            raise ConfigurationError(
                f"VAE takes single frames, not sequences of {len(batch.frames)}: leave out "
                "--data.sequence_length"
            )
        frames = self.encoder.scaled(batch.frames[0])
        hidden = self.encoder.global_layers[:-1](self.encoder.local_layers(frames))
        mean, log_variance = self.encoder.global_layers[-1](hidden), self.log_variance(hidden)
        sample = mean + (log_variance / 2).exp() * rank_noise(mean, self.generator)
        error = F.mse_loss(self.decoder(sample), frames, reduction="sum") / len(frames)
        kl = gaussian_kl(mean, log_variance)
        return {"loss": error + kl, "reconstruction": error, "kl": kl}

    def reconstruct(self, batch: SequenceBatch) -> tuple[Tensor, Tensor]:
        """Reconstruct observations from their means.

        Args:
            batch: single observations.

        Returns:
            The observations and their reconstructions, float [B, C, height, width] each, values
            0 to 1.
        """
        frames = batch.frames[-1]
        return self.encoder.scaled(frames), self.decoder(self.encoder(frames))
