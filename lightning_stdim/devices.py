"""Where to compute."""

from __future__ import annotations

from lightning_stdim.errors import ConfigurationError


def check_device(name: str) -> None:
    """Refuse a device that this machine does not have, before any work is done for it.

    Args:
        name: as PyTorch names it, such as ``"cpu"`` or ``"cuda:1"``.

    Raises:
        ConfigurationError: nothing can be computed there.
    """
    import torch

    try:
        torch.empty(0, device=name)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise ConfigurationError(f"device {name!r} cannot be used: {reason}") from error
