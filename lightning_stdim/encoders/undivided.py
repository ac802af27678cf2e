"""Encoding of frames from 0 to 255 by an encoder that divides them by 255."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn

from lightning_stdim.errors import ConfigurationError


def scaling_modules(encoder: nn.Module) -> list[nn.Module]:
    """Find where an encoder divides frames by 255.

    Args:
        encoder: any encoder, or a module that contains one.

    Returns:
        Its modules that have the attribute ``scale_frames``, True or False, as
        :class:`~lightning_stdim.encoders.LocalGlobalEncoder` has.

    Raises:
        ConfigurationError: there is none.
    """
    modules = encoder.modules() if isinstance(encoder, nn.Module) else ()
    found = [
        module for module in modules if isinstance(getattr(module, "scale_frames", None), bool)
    ]
    if not found:
        raise ConfigurationError(
            "the challenge protocol gives the encoder frames that are not divided by 255, and "
            f"{type(encoder).__name__} cannot be told so: let it have an attribute scale_frames, "
            "and divide only while that is True; or leave challenge out of the protocols"
        )
    return found


@contextmanager
def undivided_frames(encoder: nn.Module) -> Iterator[None]:
    """Let an encoder take frames as they are, from 0 to 255, while the block runs.

    Args:
        encoder: as for :func:`scaling_modules`.

    Yields:
        Nothing.

    Raises:
        ConfigurationError: as :func:`scaling_modules`.
    """
    before: list[tuple[Any, bool]] = [
        (module, bool(module.scale_frames)) for module in scaling_modules(encoder)
    ]
    try:
        for module, _ in before:
            module.scale_frames = False
        yield
    finally:
        for module, scaled in before:
            module.scale_frames = scaled
