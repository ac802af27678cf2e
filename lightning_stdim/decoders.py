"""From vectors back to frames."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import torch
from torch import Tensor, nn

from lightning_stdim.encoders import LocalGlobalEncoder
from lightning_stdim.errors import EncoderError


class MirrorDecoder(nn.Module):
    """A convolutional encoder, layer by layer, the other way round.

    A linear layer to the flattened last convolution, then for each convolution, from the last to
    the first, ReLU and a transposed convolution of the same kernel, stride and padding, with the
    output padding that gives back that convolution's input size; a sigmoid in the end. As in the
    encoder, weights of convolutions are orthogonal with gain sqrt(2), their biases zero, and the
    memory format is channels-last.

    Args:
        encoder: its layers must be convolutions, ReLU, flattening and linear layers, one after the
            other, as in :class:`~lightning_stdim.encoders.NatureEncoder`. No weights are shared.
        input_dim: size I of the vectors; by default that of the encoder's own.
        out_channels: C, channels to make; by default as many as the encoder takes.

    Raises:
        EncoderError: the encoder has other layers.
    """

    def __init__(
        self,
        encoder: LocalGlobalEncoder,
        input_dim: int | None = None,
        out_channels: int | None = None,
    ) -> None:
        super().__init__()
        layers = [*encoder.local_layers, *encoder.global_layers]
        convolutions = [k for k, layer in enumerate(layers) if isinstance(layer, nn.Conv2d)]
        others = {type(layer).__name__ for layer in layers if not _can_be_mirrored(layer)}
        if others or not convolutions:
            found = ", ".join(sorted(others)) or "no convolution"
            raise EncoderError(
                f"{type(encoder).__name__} cannot be mirrored ({found} among its layers): take one "
                "of plain convolutions, ReLU, Flatten and Linear in a row, such as "
                "lightning_stdim.encoders.NatureEncoder"
            )
        shape = encoder.shape_after(*layers[: convolutions[-1] + 1])
        mirrored = [
            nn.Linear(input_dim or encoder.feature_dim, prod(shape)),
            nn.Unflatten(1, shape),
        ]
        for k in reversed(convolutions):
            channels, *size = encoder.shape_after(*layers[:k])
            if k == convolutions[0]:
                channels = out_channels or channels
            mirrored += [nn.ReLU(inplace=True), _mirrored(layers[k], channels, size)]
        self.layers = nn.Sequential(*mirrored, nn.Sigmoid())
        for layer in self.layers:
            if isinstance(layer, nn.ConvTranspose2d):
                nn.init.orthogonal_(layer.weight, gain=2**0.5)
                nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, vectors: Tensor) -> Tensor:
        """Decode vectors.

        Args:
            vectors: float [B, I].

        Returns:
            float [B, C, height, width], values 0 to 1, of the size of the encoder's scaled frames.
        """
        frames: Tensor = self.layers(vectors)
        return frames


def _can_be_mirrored(layer: nn.Module) -> bool:
    if isinstance(layer, nn.Conv2d):
        plain = layer.padding_mode == "zeros" and not isinstance(layer.padding, str)
        return plain and layer.dilation == (1, 1) and layer.groups == 1
    return isinstance(layer, nn.ReLU | nn.Flatten | nn.Linear)


def _mirrored(convolution: nn.Module, channels: int, size: Sequence[int]) -> nn.ConvTranspose2d:
    """Make the transposed convolution to a number of channels and a size, height and width."""
    geometry: dict[str, Any] = {
        name: getattr(convolution, name) for name in ("kernel_size", "stride", "padding")
    }
    left_over = [  # rows and columns that the convolution does not reach
        (length + 2 * padding - kernel) % stride
        for length, kernel, stride, padding in zip(size, *geometry.values(), strict=True)
    ]
    inputs: int = convolution.out_channels  # type: ignore[assignment]
    return nn.ConvTranspose2d(inputs, channels, **geometry, output_padding=tuple(left_over))
