"""Decoders, which make frames from vectors."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import torch
from torch import Tensor, nn

from lightning_stdim.encoders import LocalGlobalEncoder
from lightning_stdim.errors import EncoderError


class MirrorDecoder(nn.Module):
    """The mirror image of a convolutional encoder, from a vector to a frame.

    A linear layer maps the vector to the size of the encoder's last convolution. For each
    convolution of the encoder, from the last to the first, ReLU and a transposed convolution of the
    same kernel, stride and padding follow; its output padding restores the size of that
    convolution's input. A sigmoid ends the decoder. As in the encoder, the weights of convolutions
    are orthogonal with gain sqrt(2), their biases are zero, and the memory format is channels-last.
    The two share no weights.

    Args:
        encoder: the encoder to mirror. Its layers must be convolutions, ReLU, flattening and linear
            layers in a row, as in :class:`~lightning_stdim.encoders.NatureEncoder`.
        input_dim: size of the vectors, I; by default that of the encoder's vectors.
        out_channels: number of channels of the frames, C; by default as many as the encoder takes.

    Raises:
        EncoderError: the encoder has layers of another kind.
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
        unsupported = {type(layer).__name__ for layer in layers if not _can_be_mirrored(layer)}
        if unsupported or not convolutions:
            found = ", ".join(sorted(unsupported)) or "no convolution"
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
            Frames of the size of the encoder's scaled frames, float [B, C, height, width], values
            0 to 1.
        """
        frames: Tensor = self.layers(vectors)
        return frames


def _can_be_mirrored(layer: nn.Module) -> bool:
    if isinstance(layer, nn.Conv2d):
        plain = layer.padding_mode == "zeros" and not isinstance(layer.padding, str)
        return plain and layer.dilation == (1, 1) and layer.groups == 1
    return isinstance(layer, nn.ReLU | nn.Flatten | nn.Linear)


def _mirrored(convolution: nn.Module, channels: int, size: Sequence[int]) -> nn.ConvTranspose2d:
    """Make the transposed convolution whose output has these channels and this height and width."""
    geometry: dict[str, Any] = {
        name: getattr(convolution, name) for name in ("kernel_size", "stride", "padding")
    }
    output_padding = tuple(  # the rows and columns that the convolution does not reach
        (length + 2 * padding - kernel) % stride
        for length, kernel, stride, padding in zip(size, *geometry.values(), strict=True)
    )
    inputs: int = convolution.out_channels  # type: ignore[assignment]
    return nn.ConvTranspose2d(inputs, channels, **geometry, output_padding=output_padding)
