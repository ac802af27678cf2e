"""Where the episodes of a collection begin and end, and which stored row each frame shows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lightning_stdim.datamodules.store.collection import Collection

Int64 = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Episodes:
    """The episodes of N frames.

    Attributes:
        start: int64 [E], positions of the episodes' first frames, ascending.
        length: int64 [E], the episodes' numbers of frames; positions between them belong to none.
        rows: int64 [N], for every position the row of the collection that is shown there.
    """

    start: Int64
    length: Int64
    rows: Int64

    @property
    def bounds(self) -> Int64:
        """First position and length of every episode, int64 [E, 2]."""
        return np.stack([self.start, self.length], axis=1)


def episodes_of(collection: Collection, *, stale_first_frames: bool) -> Episodes:
    """List the episodes of a collection in one of the two ways.

    Args:
        collection: a collection, with or without its frames.
        stale_first_frames: as :func:`with_stale_first_frames`, rather than :func:`as_played`.

    Returns:
        The episodes.
    """
    return with_stale_first_frames(collection) if stale_first_frames else as_played(collection)


def as_played(collection: Collection) -> Episodes:
    """List the episodes as they were played.

    Args:
        collection: a collection, with or without its frames.

    Returns:
        The episodes, which cover all rows.
    """
    rows = np.arange(len(collection))
    return Episodes(collection.episode_start, collection.episode_length, rows)


def with_stale_first_frames(collection: Collection) -> Episodes:
    """List the episodes as the challenge report's code does.

    Its loop over the environment's steps begins an episode with the last observation of the one
    before it, and never sees the observation that a reset returns. So the last frame of every
    episode that has ended stands in the place of the next one's first, and not in its own; and the
    first episode has no frame in that place.

    Args:
        collection: a collection, with or without its frames.

    Returns:
        The episodes. They share no row; one that ended where it began is left without any.
    """
    start, length = collection.episode_start.copy(), collection.episode_length.copy()
    rows = np.arange(len(collection))
    rows[start[1:]] -= 1
    length[:-1] -= 1
    if collection.terminated[-1]:  # not merely cut where the collection ends
        length[-1] -= 1
    start[0] += 1
    length[0] -= 1
    return Episodes(start, length.clip(min=0), rows)
