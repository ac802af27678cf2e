"""What keeps to float32 under autocast."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import torch
from torch import Tensor

P = ParamSpec("P")
T = TypeVar("T")


def full_precision(compute: Callable[P, T]) -> Callable[P, T]:
    """Compute something in float32 under autocast, too; without autocast nothing changes.

    Such as objectives: features of successive frames differ by little, in bfloat16 their scores'
    rounding is as large as the differences between them, and ST-DIM on Pong diverges within two
    epochs.

    Args:
        compute: a function or method with a tensor among its positional arguments.

    Returns:
        The same, but for its precision.
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
