"""The seeds of a collection's games.

They are apart from :mod:`game`, so that what needs only the seeds does not import the emulator.
"""

from __future__ import annotations

import numpy as np


def game_seed(seed: int, number: int) -> int:
    """Derive the seed of a game.

    Args:
        seed: the collection's seed, at least 0.
        number: the game's number, from 0.

    Returns:
        0 to 2**63 - 1; unrelated for different seeds or numbers.
    """
    return int(np.random.SeedSequence((seed, number)).generate_state(1, np.uint64)[0] >> 1)
