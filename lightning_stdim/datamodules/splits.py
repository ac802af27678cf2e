"""Splits by episode, and frames that occur in more than one of them."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

from lightning_stdim.errors import ConfigurationError
from lightning_stdim.utils.counted import counted
from lightning_stdim.utils.hardware import cores

if TYPE_CHECKING:  # PyTorch is not needed here
    from lightning_stdim.datamodules.frames.on_disk import Frames

Int64 = npt.NDArray[np.int64]
SplitOrder = Literal["shuffled", "time"]
SplitBy = Literal["frames", "episodes"]

PRETRAIN_FRACTIONS = {"train": 0.8, "val": 0.2}
"""The splits' shares of the frames to pretrain on, as in the reference implementation."""
PROBE_FRACTIONS = {"train": 0.7, "val": 0.1, "test": 0.2}
"""The splits' shares of the probe frames, as in the reference implementation."""
TOLERANCE = 2.0
"""A split's share of the frames should differ from the wanted one by at most this factor."""
SHUFFLES = 200
"""Number of orders of the episodes that are tried to find one that fits so well."""


def split_episodes(
    lengths: Int64,
    *,
    fractions: Mapping[str, float],
    seed: int,
    min_length: int = 1,
    order: SplitOrder = "shuffled",
    by: SplitBy = "frames",
) -> dict[str, Int64]:
    """Split whole episodes so that the splits have their shares of the frames, or of the episodes.

    Every split gets at least one episode; beyond that, an episode goes to the split in whose share
    of the frames its middle lies. With few episodes an order can fit badly, most of all if the last
    episode is short because the collection ends there. Then further shuffles are tried, and the
    best one is taken.

    Args:
        lengths: int64 [E], frames per episode.
        fractions: each split's share, in (0, 1]; they add up to 1.
        seed: random seed of the order of the episodes.
        min_length: shorter episodes are left out. The reference implementation asks for more than
            64 frames without the final state, which is 66 here.
        order: ``"shuffled"`` by the seed, or ``"time"``, the order in which the episodes were
            played. The latter is what the reference implementation does: it shuffles, but does not
            use the shuffle.
        by: of what the splits get their shares: of the ``"frames"``, or of the ``"episodes"``
            whatever their lengths. The latter is what the reference implementation and the
            challenge report do: with 55 episodes their splits begin with the episodes 0,
            int(0.7 * 55) and int(0.8 * 55).

    Returns:
        For every split the numbers of its episodes, int64, ascending.

    Raises:
        ConfigurationError: there are fewer episodes than splits. The message says how many steps
            would do.
    """
    usable = np.flatnonzero(lengths >= min_length)
    if len(usable) < len(fractions):
        frames = int(lengths.sum())
        needed = math.ceil(frames * (len(fractions) + 1) / max(1, len(usable)))
        # The last episode is cut where the collection ends: alone, it tells little.
        amount = "about" if len(usable) > 1 else "more than"
        raise ConfigurationError(
            f"{counted(len(usable), 'episode')} of at least {counted(min_length, 'frame')} in "
            f"{frames} steps: too few to split into {', '.join(fractions)}; {amount} {needed} "
            "steps would do"
        )
    rng = np.random.default_rng(seed)
    shuffles = (rng.permutation(usable) for _ in range(SHUFFLES))
    best, least = [usable], math.inf
    for ordered in [usable] if order == "time" else shuffles:
        parts = _cut(ordered, lengths if by == "frames" else None, fractions)
        misfit = _misfit(parts, lengths, fractions)
        if misfit < least:
            best, least = parts, misfit
        if least <= TOLERANCE:
            break
    return {name: np.sort(part) for name, part in zip(fractions, best, strict=True)}


def _cut(ordered: Int64, lengths: Int64 | None, fractions: Mapping[str, float]) -> list[Int64]:
    """Put each episode into the split in whose share its middle lies; by number without lengths."""
    edges = np.cumsum(list(fractions.values()))[:-1]
    if lengths is None:  # rounded, since 0.7 + 0.1 is less than 0.8
        stops = [int(round(edge, 9) * len(ordered)) for edge in edges.tolist()]
    else:
        middles = (np.cumsum(lengths[ordered]) - lengths[ordered] / 2) / lengths[ordered].sum()
        stops = [int(np.searchsorted(middles, edge)) for edge in edges]
    # At least one episode each: push the edges apart from the left, then from the right.
    for k in range(len(stops)):
        stops[k] = max(stops[k], (stops[k - 1] if k else 0) + 1)
    for k in reversed(range(len(stops))):
        stops[k] = min(stops[k], (stops[k + 1] if k + 1 < len(stops) else len(ordered)) - 1)
    return np.split(ordered, stops)


def _misfit(parts: list[Int64], lengths: Int64, fractions: Mapping[str, float]) -> float:
    """Give the largest factor by which a split is larger or smaller than it should be."""
    frames = np.array([lengths[part].sum() for part in parts])
    ratio = frames / frames.sum() / np.array(list(fractions.values()))
    return float(np.maximum(ratio, 1 / ratio).max())


def frames_of(episodes: Int64, start: Int64, length: Int64, *, skip: int = 0) -> Int64:
    """List the positions of the given episodes' frames.

    Args:
        episodes: int64 [K], numbers of episodes.
        start: int64 [E], position of each episode's first frame.
        length: int64 [E], frames per episode.
        skip: leave out this many frames at the beginning of each episode.

    Returns:
        int64 [n], ascending if ``episodes`` is.
    """
    parts = [np.arange(start[e] + skip, start[e] + length[e]) for e in episodes]
    return np.concatenate(parts).astype(np.int64) if parts else np.empty(0, np.int64)


def frame_digests(frames: Frames | npt.NDArray[np.uint8]) -> npt.NDArray[np.void]:
    """Hash every frame.

    Args:
        frames: uint8 [N, ...], not on a GPU.

    Returns:
        [N] 16-byte BLAKE2b digests as void scalars, which compare like bytes.
    """

    def digest(frame: npt.NDArray[np.uint8]) -> bytes:
        return hashlib.blake2b(frame.data, digest_size=16).digest()

    digests: list[bytes] = []
    with ThreadPoolExecutor(cores()) as pool:  # hashlib releases the interpreter lock
        for first in range(0, len(frames), 4096):  # in parts, as the frames may be on disk
            digests += pool.map(digest, np.asarray(frames[first : first + 4096]))
    return np.frombuffer(b"".join(digests), dtype="V16")


def without_duplicates(test: Int64, seen: Int64, digests: npt.NDArray[np.void]) -> Int64:
    """Remove the test frames that are identical to a frame of another split.

    Args:
        test: int64 [n], positions of the test frames.
        seen: int64 [m], positions of the training and validation frames.
        digests: [N], the frames' digests, by :func:`frame_digests`.

    Returns:
        The remaining positions, in order.
    """
    return test[~np.isin(digests[test], np.unique(digests[seen]))]
