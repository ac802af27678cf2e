"""Layers that behave better than PyTorch's under autocast (``--trainer.precision bf16-mixed``)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lightning_stdim.utils.precision import full_precision


class BlockConv2d(nn.Conv2d):
    """A convolution without padding whose stride divides its kernel size, such as 8 x 8 / 4.

    Parameters, results and gradients are those of ``nn.Conv2d``. Under autocast, every block of
    stride x stride pixels first becomes one position with more channels ("space to depth"), and a
    smaller convolution of stride 1 follows. Hardware for small matrix products in bfloat16 needs
    more channels than the single one of a grey frame. In float32 this is no faster
    (``benchmarks/attempts.py``), so the layer does it under autocast only.

    Args:
        in_channels: number of channels of the input.
        out_channels: number of channels of the output.
        size: height and width of the kernel, in pixels.
        stride: stride in both directions, a divisor of ``size``.
    """

    def __init__(self, in_channels: int, out_channels: int, size: int, stride: int) -> None:
        super().__init__(in_channels, out_channels, size, stride=stride)

    def forward(self, input: Tensor) -> Tensor:
        """Convolve float [B, in_channels, H, W] to float [B, out_channels, H', W']."""
        kind = input.device.type
        if not torch.is_autocast_enabled(kind):
            return super().forward(input)
        return self.over_blocks(input.to(torch.get_autocast_dtype(kind)))

    def over_blocks(self, input: Tensor) -> Tensor:
        """Convolve by way of blocks, in any precision.

        Args:
            input: float [B, in_channels, H, W].

        Returns:
            float [B, out_channels, H', W'].
        """
        batch, channels, height, width = input.shape
        side = self.stride[0]
        rows, columns = height // side, width // side  # the convolution ignores the rest
        blocks = (
            input[:, :, : rows * side, : columns * side]
            .reshape(batch, channels, rows, side, columns, side)
            .permute(0, 2, 4, 1, 3, 5)
            .flatten(3)  # the only copy, in channels-last order
        )
        weight = nn.functional.pixel_unshuffle(self.weight, side)
        return nn.functional.conv2d(blocks.permute(0, 3, 1, 2), weight, self.bias)


class Float32Linear(nn.Linear):
    """A linear layer that computes in float32 even under autocast.

    The vectors of a representation may be large and differ by little: after five epochs on Pong,
    those of VICReg have a mean of 38 and a deviation of 0.3 (``results/pong-scale``). There the
    numbers of bfloat16 are 0.25 apart, so that it could hardly tell two vectors apart.
    """

    @full_precision
    def forward(self, input: Tensor) -> Tensor:
        """Map float [N, inputs] to float [N, outputs]."""
        return super().forward(input)
