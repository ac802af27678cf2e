"""The small networks between a backbone's vectors and a loss."""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn

from lightning_stdim.encoders.layers import Float32Linear
from lightning_stdim.errors import ConfigurationError


class MLP(nn.Sequential):
    """Linear layers with batch normalisation and ReLU between them.

    Batch normalisation makes the result depend on the whole batch, in validation too: features
    that move while they are learnt leave running statistics behind, and a validation loss with
    those rises while the same frames' loss with their own falls. Under DDP give it the rows of
    all ranks (:func:`~lightning_stdim.objectives.gather_rows`), then every rank normalises alike.

    Args:
        *sizes: of the input, the hidden layers and the output.

    Raises:
        ConfigurationError: a size is less than 1.
    """

    def __init__(self, *sizes: int) -> None:
        if min(sizes) < 1:
            raise ConfigurationError(f"sizes of layers must all be at least 1, not {sizes}")
        layers: list[nn.Module] = []
        for inputs, outputs in pairwise(sizes[:-1]):
            # No bias: normalisation would take it away.
            layers += [Float32Linear(inputs, outputs, bias=False)]
            layers += [nn.BatchNorm1d(outputs, track_running_stats=False), nn.ReLU(inplace=True)]
        super().__init__(*layers, Float32Linear(sizes[-2], sizes[-1]))

    def forward(self, rows: Tensor) -> Tensor:
        """Map vectors to vectors.

        Args:
            rows: float [N, first size].

        Returns:
            float [N, last size].

        Raises:
            ConfigurationError: there is one row only, so nothing to normalise over.
        """
        if len(rows) < 2:
            raise ConfigurationError(
                "one sample cannot be normalised over the batch: --data.batch_size must be at "
                "least 2"
            )
        mapped: Tensor = super().forward(rows)  # type: ignore[no-untyped-call]
        return mapped
