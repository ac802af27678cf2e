"""Which frames make a batch."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import Dataset, DistributedSampler

from lightning_stdim.errors import ConfigurationError

Int64 = npt.NDArray[np.int64]
Sampling = Literal["frames", "episodes"]


class IndexDataset(Dataset[Tensor]):
    """A dataset of frame positions; the data module gathers the frames on the device.

    Args:
        size: how many positions there are.
    """

    def __init__(self, size: int) -> None:
        self.size = size

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, index: list[int]) -> Tensor:
        return torch.tensor(index, dtype=torch.int64)


def _check_shares(batch_size: int, num_replicas: int) -> None:
    if batch_size % num_replicas:
        raise ConfigurationError(
            f"batch_size={batch_size} is the global batch size: it must be a multiple of the "
            f"number of devices, {num_replicas}"
        )


class SequenceSampler(DistributedSampler[Tensor]):
    """Batches of anchors of frame sequences, for contrastive losses.

    Two guarantees:

    1. A sequence never crosses the edge of an episode.
    2. Within a (global) batch no frame of one sequence equals or is adjacent in time to a frame of
       another, since each is the other's negative.

    The batches depend on (seed, epoch) and the arguments alone, not on the number of ranks: rank r
    of W gets the r-th part of every global batch. (A sampler that draws from each rank's own
    generator would let ranks overlap.) An epoch has ``n // (stride * batch_size)`` batches, at
    least one; a handful of anchors at its end may come a second time where the guarantee would
    leave a batch unfilled.

    Args:
        episodes: per episode of the split its first position and its length, int64 [K, 2].
        sequence_length: T, frames per sequence; the anchor is the last.
        batch_size: of the global batch, over all ranks. Without `shuffle` the largest part of it
            that fits (half, a third, ...): what is only measured can come in smaller batches.
        seed: order of the samples.
        sampling: ``"frames"``: every anchor once an epoch. ``"episodes"``: the reference's way, an
            episode uniformly, then an anchor in it, with replacement: short episodes weigh more.
        wrap: anchors begin with an episode's first frame; see :meth:`AtariDataModule`. A sequence
            that wraps round is exempt from guarantee 2.
        stride: an epoch has one in so many of the anchors, others in every epoch.
        shuffle: False: the same batches in every epoch, for validation.
        num_replicas: W, the number of ranks.
        rank: this rank.

    Raises:
        ConfigurationError: if W does not divide the batch size, or the episodes cannot fill one
            batch; without `shuffle` not even a small one, of at least two.
    """

    def __init__(
        self,
        episodes: Int64,
        *,
        sequence_length: int,
        batch_size: int,
        seed: int,
        sampling: Sampling = "frames",
        wrap: bool = False,
        stride: int = 1,
        shuffle: bool = True,
        num_replicas: int = 1,
        rank: int = 0,
    ) -> None:
        _check_shares(batch_size, num_replicas)
        skip = 0 if wrap else sequence_length - 1
        self.anchors = [np.arange(first + skip, first + n) for first, n in episodes if n > skip]
        count = sum(map(len, self.anchors))
        super().__init__(
            IndexDataset(count), num_replicas=num_replicas, rank=rank, shuffle=shuffle, seed=seed
        )
        self.count = count
        self.gap = sequence_length + 1  # smallest difference between two anchors of a batch
        self.batch_size = batch_size
        self.sampling = sampling
        self.stride = stride
        # Room for one batch in the worst case, where every choice blocks gap - 1 on both sides.
        room = sum(-(-len(a) // (2 * self.gap - 1)) for a in self.anchors)
        if not shuffle:  # a share of the batch, so that it does not depend on the number of ranks
            shares = (batch_size // k for k in range(1, batch_size) if batch_size % k == 0)
            self.batch_size = next((share for share in shares if share <= room), batch_size)
        if room < self.batch_size or self.batch_size % num_replicas:
            raise ConfigurationError(
                f"{count} sequences of {sequence_length} frames are too few for batches of "
                f"{batch_size} that hold no neighbours in time; ask for more steps (about "
                f"{2 * self.gap * batch_size} frames in this split) or a smaller batch_size"
            )

    def __len__(self) -> int:
        return max(1, self.count // (self.stride * self.batch_size))

    def __iter__(self) -> Iterator[list[int]]:  # type: ignore[override]
        share = self.batch_size // self.num_replicas
        mine = slice(self.rank * share, (self.rank + 1) * share)
        for batch in self._batches():
            yield batch[mine]

    def _order(self) -> Int64:
        rng = np.random.default_rng((self.seed, self.epoch if self.shuffle else 0))
        if self.sampling == "frames":
            return rng.permutation(np.concatenate(self.anchors))
        lengths = np.array([len(a) for a in self.anchors])
        episodes = rng.integers(len(lengths), size=self.count)
        offsets = (rng.random(self.count) * lengths[episodes]).astype(np.int64)
        firsts = np.array([a[0] for a in self.anchors])
        drawn: Int64 = firsts[episodes] + offsets
        return drawn

    def _batches(self) -> Iterator[list[int]]:
        pending = deque(self._order().tolist())
        for _ in range(len(self)):
            batch: list[int] = []
            blocked: set[int] = set()
            deferred: list[int] = []
            filled_up = 0
            while len(batch) < self.batch_size:
                if not pending:  # only at the end of an epoch: fill up with second appearances
                    pending.extend(np.concatenate(self.anchors).tolist())
                    filled_up += 1
                    if filled_up == 2:  # all are blocked: there is room within episodes alone
                        blocked = {near for chosen in batch for near in self._near(chosen)}
                anchor = pending.popleft()
                if anchor in blocked:
                    deferred.append(anchor)
                else:
                    batch.append(anchor)
                    # What a lost life cuts is much alike on both sides: so across episodes, too.
                    across = range(anchor - self.gap + 1, anchor + self.gap)
                    blocked.update(across if filled_up < 2 else self._near(anchor))
            pending.extendleft(reversed(deferred))  # first in the next batch
            yield batch

    def _near(self, anchor: int) -> range:
        """Give the anchors of the same episode that a batch with this one cannot have."""
        own = next(part for part in self.anchors if part[0] <= anchor <= part[-1])
        return range(
            max(int(own[0]), anchor - self.gap + 1), min(int(own[-1]) + 1, anchor + self.gap)
        )


def same_episode_frames(anchors: Tensor, start: Tensor, length: Tensor, chance: Tensor) -> Tensor:
    """Choose for each anchor another frame of its episode, uniformly.

    Args:
        anchors: int64 [B], positions of frames.
        start: int64 [B], positions of their episodes' first frames.
        length: int64 [B], at least 2: frames of these episodes.
        chance: float64 [B], uniform in [0, 1).

    Returns:
        int64 [B], positions.
    """
    others = start + (chance * (length - 1)).long()
    return others + (others >= anchors)


class FrameSampler(DistributedSampler[Tensor]):
    """Batches of single frames, for probes and supervised training.

    Args:
        positions: int64 [n], the frames of the split.
        batch_size: of the global batch, over all ranks.
        seed: order of the samples.
        shuffle: False: in order, the last batch possibly smaller on some ranks. True: up to W - 1
            frames are left out of an epoch, so that all ranks have equal shares.
        num_replicas: W, the number of ranks.
        rank: this rank.

    Raises:
        ConfigurationError: if W does not divide the batch size.
    """

    def __init__(
        self,
        positions: Int64,
        *,
        batch_size: int,
        seed: int,
        shuffle: bool = True,
        num_replicas: int = 1,
        rank: int = 0,
    ) -> None:
        _check_shares(batch_size, num_replicas)
        super().__init__(
            IndexDataset(len(positions)),
            num_replicas=num_replicas,
            rank=rank,
            shuffle=shuffle,
            seed=seed,
        )
        self.positions = positions
        self.batch_size = batch_size
        # In training every rank counts the same: no unequal shares of the last batch.
        uneven = len(positions) % batch_size % num_replicas if shuffle else 0
        self.count = len(positions) - uneven

    def __len__(self) -> int:
        return -(-self.count // self.batch_size)

    def __iter__(self) -> Iterator[list[int]]:  # type: ignore[override]
        order = self.positions
        if self.shuffle:
            order = np.random.default_rng((self.seed, self.epoch)).permutation(order)
        order = order[: self.count]
        for first in range(0, len(order), self.batch_size):
            batch = order[first : first + self.batch_size]
            share = -(-len(batch) // self.num_replicas)
            yield batch[self.rank * share : (self.rank + 1) * share].tolist()
