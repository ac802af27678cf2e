"""Backbones by name: dotted paths, checkpoints, and what a command line can say."""

from __future__ import annotations

from inspect import signature
from typing import Any

from torch import nn

from lightning_stdim.datamodules.pixels import CHANNELS, Pixels, frame_shape
from lightning_stdim.errors import ConfigurationError, EncoderError
from lightning_stdim.utils.user_code import import_from

DEFAULT_ENCODER = "lightning_stdim.encoders.NatureEncoder"


def build_encoder(path: str, args: dict[str, Any] | None = None) -> nn.Module:
    """Make an encoder from its dotted path.

    Paths and plain arguments, rather than modules, are what checkpoints and configurations hold.

    Args:
        path: ``"package.module.ClassName"`` or ``"package.module:ClassName"`` of an
            ``nn.Module`` that takes uint8 [B, C, 210, 160] and returns float [B, D].
        args: keyword arguments of the class.

    Returns:
        The new encoder.

    Raises:
        ConfigurationError: if the path cannot be imported or the arguments do not fit.
        EncoderError: if the path does not name a subclass of ``nn.Module``.
    """
    encoder = _encoder_class(path)
    try:
        return encoder(**(args or {}))
    except TypeError as error:
        raise ConfigurationError(f"encoder {path!r} does not take {args}: {error}") from error


def with_channels(path: str, args: dict[str, Any] | None, pixels: Pixels) -> dict[str, Any] | None:
    """Have an encoder take colour frames, where its arguments can say so and do not yet.

    Args:
        path: as for :func:`build_encoder`.
        args: as for :func:`build_encoder`.
        pixels: of the frames that the encoder is for.

    Returns:
        The arguments, with ``in_channels`` 3 where frames are RGB, the encoder takes such an
        argument and `args` has none.

    Raises:
        ConfigurationError: if the path cannot be imported, or the pixels are neither luma nor RGB.
        EncoderError: if the path does not name a subclass of ``nn.Module``.
    """
    frame_shape(pixels)  # checks them
    if pixels == "luma" or "in_channels" not in signature(_encoder_class(path)).parameters:
        return args
    return {"in_channels": CHANNELS[pixels], **(args or {})}


def _encoder_class(path: str) -> type[nn.Module]:
    found = import_from(path)
    # A path can come from a checkpoint: nothing but a module class is ever called.
    if not (isinstance(found, type) and issubclass(found, nn.Module)):
        raise EncoderError(f"encoder {path!r} is not a subclass of torch.nn.Module")
    return found
