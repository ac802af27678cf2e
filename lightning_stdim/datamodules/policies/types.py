"""The types of policies."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Observe = Callable[[], NDArray[np.uint8]]
"""Returns the current frame's luma, uint8 [210, 160], in new memory. It is a function, so that a
frame that no policy looks at need not be made."""

Policy = Callable[[Observe, bool], int]
"""Chooses an action, an index into the minimal action set. It is given a function that returns the
current frame, and whether an episode begins with that frame."""

MakePolicy = Callable[[int, np.random.Generator], Policy]
"""Makes a game's policy from the size of the minimal action set and the game's generator."""
