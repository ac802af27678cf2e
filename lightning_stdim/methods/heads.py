"""Multi-layer perceptrons between the encoder's vectors and a loss."""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn

from lightning_stdim.encoders.layers import Float32Linear
from lightning_stdim.errors import ConfigurationError
from lightning_stdim.objectives import require_several


class MLP(nn.Sequential):
    """Linear layers with batch normalisation and ReLU between them.

    Rows are normalised with the statistics of their own batch, in validation too. Running
    statistics would lag behind features that change while they are learnt: the validation loss
    would rise where the loss of the same frames with their own statistics falls. Under DDP, pass
    the rows of all ranks (:func:`~lightning_stdim.objectives.gather_rows`), so that every rank
    normalises alike.

    Args:
        *sizes: size of the input, of each hidden layer and of the output, each at least 1.

    Raises:
        ConfigurationError: a size is less than 1.
    """

    def __init__(self, *sizes: int) -> None:
        if min(sizes) < 1:
            raise ConfigurationError(f"sizes of layers must all be at least 1, not {sizes}")
        layers: list[nn.Module] = []
        for inputs, outputs in pairwise(sizes[:-1]):
            # No bias: the normalisation would remove it.
            layers += [Float32Linear(inputs, outputs, bias=False)]
            layers += [nn.BatchNorm1d(outputs, track_running_stats=False), nn.ReLU(inplace=True)]
        super().__init__(*layers, Float32Linear(sizes[-2], sizes[-1]))

    def forward(self, rows: Tensor) -> Tensor:
        """Map vectors to vectors.

        Args:
            rows: float [N, size of the input].

        Returns:
            float [N, size of the output].

        Raises:
            ConfigurationError: there is only one row, which has no batch statistics.
        """
        require_several(len(rows), "one sample cannot be normalised over the batch")
        mapped: Tensor = super().forward(rows)  # type: ignore[no-untyped-call]
        return mapped
