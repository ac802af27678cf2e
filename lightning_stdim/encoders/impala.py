"""The residual network of IMPALA."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from lightning_stdim.encoders.base import LocalGlobalEncoder
from lightning_stdim.encoders.layers import Float32Linear


class ImpalaEncoder(LocalGlobalEncoder):
    """The residual network of IMPALA, on whole 210x160 frames.

    Blocks of a 3x3 convolution, a 3x3 maximum over every second position, and two residual units of
    two 3x3 convolutions. Three blocks (16, 32, 32 channels) make the *local map*, [B, 32, 27, 20];
    a fourth one (32), ReLU and a linear layer the global vector, without an activation, as in
    :class:`NatureEncoder`. Weights are orthogonal with gain sqrt(2), biases zero.

    Source: Espeholt et al. 2018 (arXiv 1802.01561), figure 3, which has three blocks on 72x96
    frames and a ReLU at the end. On whole frames the fourth block keeps the linear layer small.

    Args:
        in_channels: channels of an observation: of one luma frame 1, of one RGB frame 3.
        feature_dim: size D of the global vector.
        resize: height and width that frames are reduced to first; by default they stay 210 x 160.
        channels: of the four blocks.

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
