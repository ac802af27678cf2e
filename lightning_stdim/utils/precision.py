"""Computing in float32 under autocast."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import torch
from torch import Tensor

P = ParamSpec("P")
T = TypeVar("T")


def full_precision(compute: Callable[P, T]) -> Callable[P, T]:
    """Make a function compute in float32 even under autocast.

    Objectives need it: features of successive frames differ by little, and in bfloat16 rounding
    their scores is as large an effect as these differences. ST-DIM on Pong then diverges within two
    epochs.

    Args:
        compute: a function or method with a tensor among its positional arguments.

    Returns:
        The same function, which under autocast converts its tensors to float32.
    """

    @wraps(compute)
    def computed(*args: P.args, **kwargs: P.kwargs) -> T:
        kind = next(value.device.type for value in args if isinstance(value, Tensor))
        if not torch.is_autocast_enabled(kind):
            return compute(*args, **kwargs)
        wide: Any = tuple(
            value.float() if isinstance(value, Tensor) and value.is_floating_point() else value
            for value in args
        )
        with torch.autocast(kind, enabled=False):
            return compute(*wide, **kwargs)

    return computed
