"""Encoders by dotted path and keyword arguments, as checkpoints and configurations name them."""

from __future__ import annotations

from inspect import signature
from typing import Any

from torch import nn

from lightning_stdim.datamodules.pixels import CHANNELS, Pixels, frame_shape
from lightning_stdim.errors import ConfigurationError, EncoderError, LightningStdimError
from lightning_stdim.utils.user_code import import_from, what_failed

DEFAULT_ENCODER = "lightning_stdim.encoders.NatureEncoder"


def build_encoder(path: str, args: dict[str, Any] | None = None) -> nn.Module:
    """Make an encoder from the dotted path of its class.

    Args:
        path: ``"package.module.ClassName"`` or ``"package.module:ClassName"`` of an
            ``nn.Module`` that takes uint8 [B, C, 210, 160] and returns float [B, D].
        args: keyword arguments of the class.

    Returns:
        The new encoder.

    Raises:
        ConfigurationError: the path cannot be imported, or the arguments do not fit.
        EncoderError: the path does not name a subclass of ``nn.Module``, or the class fails.
    """
    encoder = _encoder_class(path)
    try:
        return encoder(**(args or {}))
    except TypeError as error:
        raise ConfigurationError(f"encoder {path!r} does not take {args}: {error}") from error
    except LightningStdimError:
        raise
    except Exception as error:  # whatever a user's code may raise
        raise EncoderError(f"encoder {path!r} cannot be made: {what_failed(error)}") from error


def with_channels(path: str, args: dict[str, Any] | None, pixels: Pixels) -> dict[str, Any] | None:
    """Complete an encoder's arguments by the number of channels of RGB frames.

    Args:
        path: dotted path of the encoder's class, as for :func:`build_encoder`.
        args: keyword arguments of the class.
        pixels: pixel format of the frames that the encoder is to take.

    Returns:
        The arguments, with ``in_channels=3`` added if the frames are RGB, the class has this
        argument and `args` does not give it.

    Raises:
        ConfigurationError: the path cannot be imported, or ``pixels`` is neither luma nor rgb.
        EncoderError: the path does not name a subclass of ``nn.Module``.
    """
    frame_shape(pixels)  # checks the value
    if pixels == "luma" or "in_channels" not in signature(_encoder_class(path)).parameters:
        return args
    return {"in_channels": CHANNELS[pixels], **(args or {})}


def _encoder_class(path: str) -> type[nn.Module]:
    found = import_from(path)
    # The path may come from a stranger's checkpoint: call nothing but the class of a module.
    if not (isinstance(found, type) and issubclass(found, nn.Module)):
        raise EncoderError(f"encoder {path!r} is not a subclass of torch.nn.Module")
    return found
