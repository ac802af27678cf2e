"""The base class of encoders with a local map, and functions that describe any encoder."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from lightning_stdim.encoders.area_resize import AreaResize
from lightning_stdim.errors import ConfigurationError, EncoderError, LightningStdimError
from lightning_stdim.utils.eval_mode import evaluating
from lightning_stdim.utils.user_code import what_failed

FRAME_HEIGHT, FRAME_WIDTH = 210, 160


class LocalGlobalEncoder(nn.Module):
    """A convolutional encoder in two parts, from frames to a local map and on to a global vector.

    A subclass defines both parts. The weights are kept in channels-last memory format, which is the
    fastest on CPUs (``benchmarks/step.py``) and the one for tensor cores. Results do not depend on
    the format.

    Args:
        in_channels: channels of an observation: the number of stacked frames times the channels of
            a frame, 1 for luma and 3 for RGB. The data module and the probes stack as many
            successive frames as the encoder takes, the newest last; at the start of an episode
            its first frame is repeated.
        feature_dim: size of the global vector, D.
        resize: height and width that frames are reduced to, by averaging over areas; by default
            they stay 210 x 160.

    Attributes:
        local_channels: number of channels of the local map, C.
        local_layers: layers from scaled frames, float [B, in_channels, height, width], to the local
            map, float [B, C, H, W].
        global_layers: layers from the local map to the global vector, float [B, D].
        scale_frames: whether frames are divided by 255. False is for the ``challenge`` protocol,
            which feeds frames as they are, and for encoders that are trained so.

    Raises:
        ConfigurationError: a size is less than 1, or ``resize`` is not a height and a width of at
            most 210 and 160.
    """

    local_channels: int
    local_layers: nn.Sequential
    global_layers: nn.Sequential
    scale_frames: bool = True

    def __init__(self, in_channels: int, feature_dim: int, resize: Sequence[int] | None) -> None:
        super().__init__()
        if in_channels < 1 or feature_dim < 1:
            raise ConfigurationError(
                f"in_channels={in_channels} and feature_dim={feature_dim} must both be at least 1"
            )
        whole = (FRAME_HEIGHT, FRAME_WIDTH)
        if resize is not None and not (
            len(resize) == 2 and all(1 <= a <= b for a, b in zip(resize, whole, strict=True))
        ):
            raise ConfigurationError(
                f"resize={list(resize)} must be a height of at most {FRAME_HEIGHT} and a width of "
                f"at most {FRAME_WIDTH}, such as [84, 84]"
            )
        self.in_channels = in_channels
        self.feature_dim = feature_dim
        self.frame_size = whole if resize is None else (resize[0], resize[1])
        self.resize = nn.Identity() if resize is None else AreaResize(whole, resize)

    def shape_after(self, *layers: nn.Module) -> tuple[int, int, int]:
        """Compute the shape that scaled frames have after some layers.

        Args:
            *layers: layers that are applied to the frames, one after the other.

        Returns:
            Channels, height and width.

        Raises:
            ConfigurationError: the frames are too small for the layers.
        """
        height, width = self.frame_size
        frames = torch.zeros(1, self.in_channels, height, width)
        try:
            with torch.no_grad():
                for layer in layers:
                    frames = layer(frames)
        except RuntimeError as error:
            raise ConfigurationError(
                f"frames of {height} x {width} are too small for {type(self).__name__}: resize to "
                "a larger size"
            ) from error
        channels, rows, columns = frames.shape[1:]
        return channels, rows, columns

    def initialize_orthogonally(self) -> None:
        """Make all weights orthogonal with gain sqrt(2) and all biases zero."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.orthogonal_(module.weight, gain=2**0.5)
                nn.init.zeros_(module.bias)  # type: ignore[arg-type]
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, frames: Tensor) -> Tensor:
        """Encode frames.

        Args:
            frames: uint8 [B, in_channels, 210, 160], values 0 to 255.

        Returns:
            float [B, D], the global vectors.

        Raises:
            EncoderError: the frames have another shape or type.
        """
        return self.feature_maps(frames)[1]

    def feature_maps(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        """Encode frames, and return the local map beside the global vector.

        Args:
            frames: uint8 [B, in_channels, 210, 160], values 0 to 255.

        Returns:
            The local map, float [B, C, H, W], and the global vector, float [B, D].

        Raises:
            EncoderError: the frames have another shape or type.
        """
        local = self.local_map(frames)
        return local, self.global_layers(local)

    def local_map(self, frames: Tensor) -> Tensor:
        """Encode frames up to the local map only, for losses that need no global vector.

        Args:
            frames: uint8 [B, in_channels, 210, 160], values 0 to 255.

        Returns:
            float [B, C, H, W].

        Raises:
            EncoderError: the frames have another shape or type.
        """
        local: Tensor = self.local_layers(self.scaled(frames))
        return local

    def scaled(self, frames: Tensor) -> Tensor:
        """Scale frames and resize them: the input of the layers, and a decoder's target.

        Args:
            frames: uint8 [B, in_channels, 210, 160], values 0 to 255.

        Returns:
            float [B, in_channels, height, width], values 0 to 1, or 0 to 255 if
            :attr:`scale_frames` is False; the size is ``resize``, or 210 x 160 without it.

        Raises:
            EncoderError: the frames have another shape or type.
        """
        expected = (self.in_channels, FRAME_HEIGHT, FRAME_WIDTH)
        if frames.dtype != torch.uint8 or frames.ndim != 4 or tuple(frames.shape[1:]) != expected:
            raise EncoderError(
                f"{type(self).__name__} takes uint8 frames [B, {', '.join(map(str, expected))}], "
                f"not {frames.dtype} {list(frames.shape)}"
            )
        dtype = next(self.parameters()).dtype
        values = frames.to(dtype, memory_format=torch.channels_last)
        scaled: Tensor = self.resize(values.mul_(1 / 255) if self.scale_frames else values)
        return scaled


def require_local_map(encoder: nn.Module, method: str) -> LocalGlobalEncoder:
    """Check that an encoder has a local map.

    Args:
        encoder: any encoder.
        method: name of the method that needs it, for the error message.

    Returns:
        The same encoder.

    Raises:
        EncoderError: the encoder has no local map.
    """
    if not isinstance(encoder, LocalGlobalEncoder):
        raise EncoderError(
            f"{method} needs an encoder with a local map, a subclass of "
            f"lightning_stdim.encoders.LocalGlobalEncoder: {type(encoder).__name__} is not one"
        )
    return encoder


def frame_stack(encoder: nn.Module, channels: int) -> int:
    """Return the number of stacked frames that an encoder takes.

    Args:
        encoder: any encoder; it takes one frame if it has no attribute ``in_channels``.
        channels: channels of a frame: 1 for luma, 3 for RGB.

    Returns:
        Number of successive frames per observation.

    Raises:
        ConfigurationError: the encoder's channels are not a multiple of a frame's.
    """
    size, rest = divmod(getattr(encoder, "in_channels", channels), channels)
    if rest or size < 1:
        raise ConfigurationError(
            f"{type(encoder).__name__} takes {encoder.in_channels} channels, and a colour frame "
            f"has {channels}: take an encoder with in_channels={channels} or a multiple of it, or "
            "luma frames (pixels=luma)"
        )
    return size


def feature_dim_of(encoder: nn.Module, channels: int = 1) -> int:
    """Return the size of an encoder's vector.

    Args:
        encoder: module from uint8 [B, in_channels, 210, 160] to float [B, D]; it takes one frame if
            it has no attribute ``in_channels``.
        channels: channels of a frame: 1 for luma, 3 for RGB.

    Returns:
        D: the encoder's attribute ``feature_dim``, or the size of its vector of a black frame.

    Raises:
        EncoderError: the encoder fails on frames, or does not return float [B, D].
    """
    known = getattr(encoder, "feature_dim", None)
    if isinstance(known, int):
        return known
    channels = getattr(encoder, "in_channels", channels)
    black = torch.zeros(2, channels, FRAME_HEIGHT, FRAME_WIDTH, dtype=torch.uint8)
    try:
        with torch.no_grad(), evaluating(encoder):
            vectors = encoder(black)
    except LightningStdimError:
        raise
    except Exception as error:  # a user's module may raise anything
        raise failed_on(encoder, black, error) from error
    if not isinstance(vectors, Tensor) or vectors.ndim != 2 or len(vectors) != len(black):
        found = list(vectors.shape) if isinstance(vectors, Tensor) else type(vectors).__name__
        raise EncoderError(
            f"the encoder {type(encoder).__name__} must return a float tensor [B, D], not {found}"
        )
    return vectors.shape[1]


def failed_on(encoder: nn.Module, frames: Tensor, error: Exception) -> EncoderError:
    """Make the error for an encoder that fails on frames.

    Args:
        encoder: the encoder.
        frames: uint8 [B, C, H, W], what it was given.
        error: what it raised.

    Returns:
        An error that names the place in the user's code and what an encoder is given.
    """
    return EncoderError(
        f"the encoder {type(encoder).__name__} failed on uint8 frames {list(frames.shape)}: "
        f"{what_failed(error)}; frames are uint8, 0 to 255: begin with frames.float() / 255"
    )
