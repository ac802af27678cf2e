"""The residual network of IMPALA."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from lightning_stdim.encoders.base import LocalGlobalEncoder
from lightning_stdim.encoders.layers import Float32Linear


class ImpalaEncoder(LocalGlobalEncoder):
    """The residual network of IMPALA, on whole frames of 210 x 160.

    A block is a 3x3 convolution, a 3x3 max pooling with stride 2, and two residual units of two 3x3
    convolutions each. Three blocks (16, 32 and 32 channels) make the *local map*, [B, 32, 27, 20].
    A fourth block (32 channels), ReLU and a linear layer make the global vector. As in
    :class:`NatureEncoder`, no activation follows the linear layer, weights are orthogonal with gain
    sqrt(2), and biases are zero.

    Source: Espeholt et al. 2018 (arXiv 1802.01561), figure 3, which has three blocks on frames of
    72 x 96 and a ReLU at the end. The fourth block keeps the linear layer small on whole frames.

    Args:
        in_channels: channels of an observation: the number of stacked frames times the channels of
            a frame, 1 for luma and 3 for RGB.
        feature_dim: size of the global vector, D.
        resize: height and width that frames are reduced to; by default they stay 210 x 160.
        channels: number of channels of each of the four blocks.

    Raises:
        ConfigurationError: a size is out of its range.
    """

    def __init__(
        self,
        in_channels: int = 1,
        feature_dim: int = 256,
        resize: Sequence[int] | None = None,
        channels: Sequence[int] = (16, 32, 32, 32),
    ) -> None:
        super().__init__(in_channels, feature_dim, resize)
        first, second, self.local_channels, last = channels
        self.local_layers = nn.Sequential(
            _block(in_channels, first),
            _block(first, second),
            _block(second, self.local_channels),
        )
        block = _block(self.local_channels, last)
        _, height, width = self.shape_after(self.local_layers, block)
        self.global_layers = nn.Sequential(
            block, nn.ReLU(), nn.Flatten(), Float32Linear(last * height * width, feature_dim)
        )
        self.initialize_orthogonally()


def _block(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, padding=1),
        nn.MaxPool2d(3, stride=2, padding=1),
        _Residual(outputs),
        _Residual(outputs),
    )


class _Residual(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.ReLU(),
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(channels, channels, 3, padding=1),
        )

    def forward(self, maps: Tensor) -> Tensor:
        changed: Tensor = self.layers(maps)
        return maps + changed
