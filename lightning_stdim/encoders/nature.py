"""The convolutional network of the ST-DIM paper, the default encoder."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import torch
from torch import nn

from lightning_stdim.encoders.base import LocalGlobalEncoder
from lightning_stdim.encoders.layers import BlockConv2d, Float32Linear
from lightning_stdim.errors import ConfigurationError

Initialization = Literal["orthogonal", "pytorch"]


class NatureEncoder(LocalGlobalEncoder):
    """The convolutional network of the ST-DIM paper, on whole frames of 210 x 160.

    Four convolutions (32@8x8/4, 64@4x4/2, 128@4x4/2 and 64@3x3/1) are each followed by ReLU. The
    flattened 64 x 9 x 6 = 3456 values go through one linear layer without an activation. Weights
    are orthogonal with gain sqrt(2), and biases are zero. The *local map* is the output of the
    third convolution, [B, 128, 11, 8]; each of its positions sees 44 x 44 pixels.

    Source: Anand et al. 2019 (arXiv 1906.08226), section 4 and appendix; the initialisation is the
    reference implementation's. It differs from Mnih et al. 2015 in the input size, in the third and
    fourth convolutions, and in having no final ReLU.

    Args:
        in_channels: channels of an observation: the number of stacked frames times the channels of
            a frame, 1 for luma and 3 for RGB.
        feature_dim: size of the global vector, D.
        resize: height and width that frames are reduced to, at least 76 each; by default they stay
            210 x 160.
        initialization: ``"orthogonal"``, as described above, or ``"pytorch"`` for PyTorch's
            default, weights and biases that are uniform in +-1/sqrt(number of inputs). The
            challenge report on Anand et al. 2019 used the latter.
        scale_frames: divide frames by 255. The challenge report's supervised network took frames
            from 0 to 255 as they are.

    Raises:
        ConfigurationError: a size is out of its range, or the initialisation is unknown.
    """

    def __init__(
        self,
        in_channels: int = 1,
        feature_dim: int = 256,
        resize: Sequence[int] | None = None,
        *,
        initialization: Initialization = "orthogonal",
        scale_frames: bool = True,
    ) -> None:
        super().__init__(in_channels, feature_dim, resize)
        if initialization not in (known := get_args(Initialization)):
            raise ConfigurationError(
                f"initialization={initialization!r}: choose {' or '.join(map(repr, known))}"
            )
        self.scale_frames = scale_frames
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
        if initialization == "orthogonal":
            self.initialize_orthogonally()
        else:
            self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
