"""The convolutional network of the ST-DIM paper."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from lightning_stdim.encoders.base import LocalGlobalEncoder
from lightning_stdim.encoders.layers import BlockConv2d, Float32Linear


class NatureEncoder(LocalGlobalEncoder):
    """The convolutional network of the ST-DIM paper, on whole 210x160 frames.

    Convolutions 32@8x8/4, 64@4x4/2, 128@4x4/2 and 64@3x3/1, each followed by ReLU; the flattened
    64 x 9 x 6 = 3456 values go through one linear layer without an activation. Weights are
    orthogonal with gain sqrt(2), biases zero. The *local map* is the third convolution's output,
    [B, 128, 11, 8]: each of its positions sees 44 x 44 pixels.

    Source: Anand et al. 2019 (arXiv 1906.08226), section 4 and appendix; the initialisation is the
    reference implementation's. Differs from Mnih et al. 2015 in the input size, the third and
    fourth convolutions and the missing final ReLU.

    Args:
        in_channels: channels of an observation: of one luma frame 1, of one RGB frame 3.
        feature_dim: size D of the global vector.
        resize: height and width that frames are reduced to first, at least 76 each; by default
            they stay 210 x 160.

    Raises:
        ConfigurationError: a size is out of its range.
    """

    def __init__(
        self, in_channels: int = 1, feature_dim: int = 256, resize: Sequence[int] | None = None
    ) -> None:
        super().__init__(in_channels, feature_dim, resize)
        self.local_channels = 128
        self.local_layers = nn.Sequential(
            BlockConv2d(in_channels, 32, 8, stride=4),
            nn.ReLU(inplace=True),
            nn.Conv2d(32, 64, 4, stride=2),
            nn.ReLU(inplace=True),
            nn.Conv2d(64, self.local_channels, 4, stride=2),
            nn.ReLU(),  # not in place: its input is never needed, its output is the local map
        )
        last = nn.Conv2d(self.local_channels, 64, 3, stride=1)
        channels, height, width = self.shape_after(self.local_layers, last)
        self.global_layers = nn.Sequential(
            last,
            nn.ReLU(inplace=True),
            nn.Flatten(),
            Float32Linear(channels * height * width, feature_dim),
        )
        self.initialize_orthogonally()
