"""VICReg: variance, invariance, covariance."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from lightning_stdim.datamodules.batches import SequenceBatch
from lightning_stdim.encoders import feature_dim_of
from lightning_stdim.errors import ConfigurationError
from lightning_stdim.methods.base import SSLMethod
from lightning_stdim.methods.heads import MLP
from lightning_stdim.methods.sequences import encode_sequences
from lightning_stdim.objectives import covariance_penalty, gather_rows, variance_hinge


class VICReg(SSLMethod):
    """Variance-Invariance-Covariance Regularisation between consecutive frames.

    The two frames are the two views. An expander, a network of three layers, maps their vectors to
    a larger space. There the loss has three terms. Invariance makes the two vectors equal.
    Variance keeps the standard deviation of every dimension over the batch at 1 or more.
    Covariance makes the dimensions uncorrelated. There are no negatives and no target network.

    Logs ``loss`` (the weighted sum) and the terms before they are weighted: ``invariance``,
    ``variance`` and ``covariance``.

    Source: Bardes et al. 2022 (arXiv 2105.04906), equations 1 to 6. The invariance is averaged
    over dimensions as in the paper's algorithm 1, for which the weights were tuned, not summed as
    in equation 5. The authors' code halves the variance term, which ``variance=12.5`` does here.
    The expander's layers are 4 times as wide as the vector, as in the paper.

    Args:
        expanded_dim: number of units in each layer of the expander; by default 4 times the size
            of the encoder's vector.
        invariance: weight of the invariance term, lambda in the paper, 0 or more.
        variance: weight of the variance term, mu in the paper, 0 or more.
        covariance: weight of the covariance term, nu in the paper, 0 or more.
        **base: the other arguments of :class:`SSLMethod`.

    Raises:
        ConfigurationError: a value is out of its range.
        EncoderError: the encoder does not map frames to vectors.
    """

    name = "vicreg"

    def __init__(
        self,
        *,
        expanded_dim: int | None = None,
        invariance: float = 25.0,
        variance: float = 25.0,
        covariance: float = 1.0,
        **base: Any,
    ) -> None:
        super().__init__(**base)
        self.weights = {
            "invariance": invariance,
            "variance": variance,
            "covariance": covariance,
        }
        if min(self.weights.values()) < 0:
            raise ConfigurationError(
                f"the weights of VICReg's terms must be 0 or more: {self.weights}"
            )
        feature_dim = feature_dim_of(self.encoder, self.channels)
        width = 4 * feature_dim if expanded_dim is None else expanded_dim
        self.expander = MLP(feature_dim, width, width, width)

    def loss(self, batch: SequenceBatch) -> dict[str, Tensor]:
        """Compute the three terms and their weighted sum; see :meth:`SSLMethod.loss`.

        Args:
            batch: pairs of frames.

        Returns:
            ``"loss"``, ``"invariance"``, ``"variance"`` and ``"covariance"``, float [] each.

        Raises:
            ConfigurationError: the batch does not hold pairs, or holds only one.
        """
        # Every rank computes with the rows of all ranks, which the batch statistics are over.
        vectors = gather_rows(encode_sequences(self.encoder, batch.pair()))  # [N, 2, D]
        past, present = (self.expander(view) for view in vectors.unbind(1))  # [N, E] each
        terms = {
            "invariance": F.mse_loss(past, present),
            "variance": variance_hinge(past) + variance_hinge(present),
            "covariance": covariance_penalty(past) + covariance_penalty(present),
        }
        weighted = [self.weights[name] * term for name, term in terms.items()]
        return {"loss": torch.stack(weighted).sum(), **terms}
