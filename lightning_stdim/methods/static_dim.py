"""Static-DIM: InfoNCE between a frame and its own parts."""

from __future__ import annotations

from typing import Any, Literal

from torch import Tensor, nn

from lightning_stdim.datamodules.batches import SequenceBatch
from lightning_stdim.encoders import LocalGlobalEncoder, require_local_map
from lightning_stdim.errors import ConfigurationError
from lightning_stdim.methods.base import SSLMethod
from lightning_stdim.objectives import (
    GlobalLocalInfoNCE,
    GlobalPositionInfoNCE,
    flatten_positions,
    gather_rows,
)

NEGATIVES = ("batch", "positions")


class StaticDIM(SSLMethod):
    """InfoNCE between a frame's global vector and its own local features: ST-DIM without time.

    Logs ``loss`` (nats).

    Source: Anand et al. 2019 (arXiv 1906.08226), section 5, ablations; Hjelm et al. 2019 (arXiv
    1808.06670), equation 8.

    Args:
        negatives: where the negatives come from. ``"batch"``: the same position of the batch's
            other frames, as in ST-DIM. ``"positions"``: the other positions of the same frame, as
            in the reference implementation; features that are the same in all frames can solve
            this task.
        **base: the arguments of :class:`SSLMethod`.

    Raises:
        ConfigurationError: ``negatives`` is neither.
        EncoderError: the encoder has no local map.
    """

    name = "static-dim"
    sequence_length = 1
    encoder: LocalGlobalEncoder

    def __init__(self, *, negatives: Literal["batch", "positions"] = "batch", **base: Any) -> None:
        super().__init__(**base)
        if negatives not in NEGATIVES:
            raise ConfigurationError(
                f"model.negatives={negatives!r} is unknown: choose from {', '.join(NEGATIVES)}"
            )
        self.encoder = require_local_map(self.encoder, "Static-DIM")
        self.negatives = negatives
        sizes = self.encoder.feature_dim, self.encoder.local_channels
        self.global_local: nn.Module
        if negatives == "batch":
            self.global_local = GlobalLocalInfoNCE(*sizes)
        else:
            _, height, width = self.encoder.shape_after(self.encoder.local_layers)
            self.global_local = GlobalPositionInfoNCE(*sizes, height * width)

    def loss(self, batch: SequenceBatch) -> dict[str, Tensor]:
        """Compute the InfoNCE loss; see :meth:`SSLMethod.loss`.

        Args:
            batch: single frames; of longer sequences only the last frame is used.

        Returns:
            ``"loss"``, float [], in nats.
        """
        local, vector = self.encoder.feature_maps(batch.frames[-1])
        features = flatten_positions(local)
        if self.negatives == "batch":
            features = gather_rows(features)
        return {"loss": self.global_local(vector, features)}
