"""PyTorch's layers, where autocast (``--trainer.precision bf16-mixed``) needs something else."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lightning_stdim.utils.precision import full_precision


class BlockConv2d(nn.Conv2d):
    """A convolution without padding whose stride divides its kernel's size, such as 8 x 8 / 4.

    Parameters, results and gradients are those of ``nn.Conv2d``. Under autocast each block of
    stride x stride pixels is first made the channels of one ("space to depth"), and a convolution
    of stride 1 with fewer places does the rest: units that multiply small matrices of bfloat16 need
    more channels than the one of a grey frame. In float32 it brings nothing
    (``benchmarks/attempts.py``), so there nothing changes.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        size: height and width of the kernel.
        stride: a divisor of it.
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
        """Convolve by the way through blocks, in any precision.

        Args:
            input: float [B, in_channels, H, W].

        Returns:
            float [B, out_channels, H', W'].
        """
        batch, channels, height, width = input.shape
        side = self.stride[0]
        rows, columns = height // side, width // side  # the rest is not reached
        blocks = (
            input[:, :, : rows * side, : columns * side]
            .reshape(batch, channels, rows, side, columns, side)
            .permute(0, 2, 4, 1, 3, 5)
            .flatten(3)  # the one copy, in the order of channels last
        )
        weight = nn.functional.pixel_unshuffle(self.weight, side)
        return nn.functional.conv2d(blocks.permute(0, 3, 1, 2), weight, self.bias)


class Float32Linear(nn.Linear):
    """A linear layer in float32, with autocast or without.

    A representation's vectors may lie far from zero and differ by little: after five epochs on Pong
    those of VICReg lie at 38 and deviate by 0.3 (``results/pong-scale``). There bfloat16's numbers
    are 0.25 apart, so that it would hardly tell two vectors from each other.
    """

    @full_precision
    def forward(self, input: Tensor) -> Tensor:
        """Map float [N, inputs] to float [N, outputs]."""
        return super().forward(input)
