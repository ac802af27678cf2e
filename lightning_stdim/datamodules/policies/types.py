"""What a policy is."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Observe = Callable[[], NDArray[np.uint8]]
"""Gives the luma of the frame of that moment, uint8 [210, 160], in new memory; what nobody looks at
need not be made."""

Policy = Callable[[Observe, bool], int]
"""Takes a look at the current frame, if it wants to, and whether an episode begins with it; returns
an index into the minimal action set."""

MakePolicy = Callable[[int, np.random.Generator], Policy]
"""Makes a game's policy from the size of the minimal action set and the game's generator."""
