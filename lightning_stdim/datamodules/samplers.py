"""Samplers: which frames make up a batch."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, DistributedSampler

from lightning_stdim.errors import ConfigurationError
from lightning_stdim.utils.counted import counted

Int64 = npt.NDArray[np.int64]
Sampling = Literal["frames", "episodes"]
Neighbours = Literal["apart", "any"]


class IndexDataset(Dataset[Tensor]):
    """A dataset of frame positions; the data module gathers the frames on the device.

    Args:
        size: number of positions.
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


class ResumableSampler(DistributedSampler[Tensor]):
    """A sampler of batches that can go on in the middle of an epoch.

    Subclasses yield an epoch's batches from :meth:`batches`.

    Args:
        size: number of samples to choose from.
        seed: random seed of the order.
        shuffle: whether every epoch has an order of its own.
        num_replicas: W, the number of ranks.
        rank: this rank.
    """

    def __init__(
        self, size: int, *, seed: int, shuffle: bool, num_replicas: int, rank: int
    ) -> None:
        super().__init__(
            IndexDataset(size), num_replicas=num_replicas, rank=rank, shuffle=shuffle, seed=seed
        )
        self._done = 0  # batches of the epoch that have been given
        self._resumed: dict[str, int] = {}

    def batches(self) -> Iterator[list[int]]:
        """Yield this rank's part of every batch of the epoch."""
        raise NotImplementedError

    def __iter__(self) -> Iterator[list[int]]:  # type: ignore[override]
        # Called before the epoch is set; what follows runs when the first batch is asked for.
        resumed, self._resumed = self._resumed, {}
        skip = resumed["batches"] if resumed.get("epoch") == self.epoch else 0
        for done, batch in enumerate(self.batches(), start=1):
            self._done = done
            if done > skip:
                yield batch

    def state_dict(self) -> dict[str, int]:
        """Give the place in the epoch, for checkpoints."""
        return {"epoch": self.epoch, "batches": self._done}

    def load_state_dict(self, state_dict: dict[str, int]) -> None:
        """Have the next pass over the same epoch leave out the batches that have been given.

        Args:
            state_dict: what :meth:`state_dict` gave.
        """
        self._resumed = dict(state_dict)


class ResumableLoader(DataLoader[Tensor]):
    """A loader of a sampler's batches, whose place in the epoch the trainer saves and restores.

    Args:
        sampler: it yields the batches.
        pin_memory: put the batches into pinned memory, which a GPU fetches faster.
    """

    sampler: ResumableSampler

    def __init__(self, sampler: ResumableSampler, *, pin_memory: bool = False) -> None:
        super().__init__(
            sampler.dataset,
            batch_size=None,
            sampler=sampler,
            pin_memory=pin_memory,
            # A number is drawn for every pass, and the global generator is the training's.
            generator=torch.Generator(),
        )

    def state_dict(self) -> dict[str, int]:
        """Give the sampler's place in the epoch."""
        return self.sampler.state_dict()

    def load_state_dict(self, state_dict: dict[str, int]) -> None:
        """Restore the sampler's place in the epoch; see :class:`ResumableSampler`.

        Args:
            state_dict: what :meth:`state_dict` gave.
        """
        self.sampler.load_state_dict(state_dict)


class SequenceSampler(ResumableSampler):
    """Batches of frame sequences, named by their anchors (last frames), for contrastive losses.

    It guarantees that

    1. a sequence never crosses the edge of an episode, and
    2. unless `neighbours` is ``"any"``, no frame of a sequence equals a frame of another in the
       same (global) batch or is next to it in time, since each sequence is the other's negative.

    The batches depend only on seed, epoch and arguments, not on the number of ranks: rank r of W
    gets the r-th part of every global batch. (If each rank drew from a generator of its own, ranks
    could overlap.) An epoch has ``n // (stride * batch_size)`` batches, and at least one. A few
    anchors may appear a second time at its end, where guarantee 2 would leave a batch unfilled.

    Args:
        episodes: int64 [K, 2], for each episode of the split its first position and its length.
        sequence_length: T, frames per sequence.
        batch_size: sequences in a global batch, over all ranks. Without `shuffle` the largest part
            of it (half, a third, ...) that can be filled: for a measurement smaller batches will
            do.
        seed: random seed of the order.
        sampling: ``"frames"`` for every anchor once an epoch, or ``"episodes"`` for a random
            episode and then a random anchor in it, with replacement, as in the reference
            implementation: frames of short episodes then come more often.
        wrap: take an episode's last frame for the one before its first, so that every frame is an
            anchor. A sequence that wraps around is exempt from guarantee 2.
        repeat_first: let the frames before an episode's first anchor stand for it, so that an epoch
            has as many sequences as there are frames. The challenge report on ST-DIM does so
            with pairs.
        neighbours: ``"apart"`` for guarantee 2; ``"any"`` for batches of a random permutation,
            whatever lies beside what, as in the challenge report. The last batch is left out if
            it is not full.
        stride: an epoch has one in this many of the anchors, other ones in every epoch.
        shuffle: False for the same batches in every epoch, for validation.
        num_replicas: W, the number of ranks.
        rank: this rank.

    Raises:
        ConfigurationError: W does not divide the batch size, the episodes cannot fill one batch
            (without `shuffle`, not even one of two sequences), or `wrap` and `repeat_first` are
            both given.
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
        repeat_first: bool = False,
        neighbours: Neighbours = "apart",
        stride: int = 1,
        shuffle: bool = True,
        num_replicas: int = 1,
        rank: int = 0,
    ) -> None:
        _check_shares(batch_size, num_replicas)
        skip = 0 if wrap else sequence_length - 1
        if wrap and repeat_first:
            raise ConfigurationError(
                "data.wrap_episodes and data.repeat_first_pair are two ways to pair an episode's "
                "first frame: choose one"
            )
        usual = [np.arange(first + skip, first + n) for first, n in episodes if n > skip]
        before = skip if repeat_first else 0
        self.anchors = [np.pad(anchors, (before, 0), "edge") for anchors in usual]
        count = sum(map(len, self.anchors))
        super().__init__(count, num_replicas=num_replicas, rank=rank, shuffle=shuffle, seed=seed)
        self.count = count
        self.gap = sequence_length + 1  # smallest difference between two anchors of a batch
        self.batch_size = batch_size
        self.sampling = sampling
        self.neighbours = neighbours
        self.stride = stride
        # Room for one batch in the worst case, where every choice blocks gap - 1 on both sides.
        blocks = 2 * self.gap - 1 if neighbours == "apart" else 1
        room = sum(-(-len(anchors) // blocks) for anchors in usual)
        if not shuffle:  # a share of the batch, so that it does not depend on the number of ranks
            shares = (batch_size // k for k in range(1, batch_size) if batch_size % k == 0)
            self.batch_size = next((share for share in shares if share <= room), batch_size)
        if room < self.batch_size or self.batch_size % num_replicas:
            apart = " that hold no neighbours in time" if blocks > 1 else ""
            raise ConfigurationError(
                f"{counted(count, 'sequence')} of {counted(sequence_length, 'frame')}: too few for "
                f"batches of {batch_size}{apart}; ask for more steps (about "
                f"{(blocks + 1) * batch_size} frames in this split) or a smaller batch_size"
                f"{f', at most {room}' if room > 1 else ''}"
            )

    def __len__(self) -> int:
        return max(1, self.count // (self.stride * self.batch_size))

    def batches(self) -> Iterator[list[int]]:
        """Yield this rank's part of every batch of the epoch."""
        share = self.batch_size // self.num_replicas
        mine = slice(self.rank * share, (self.rank + 1) * share)
        for batch in self._global_batches():
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

    def _global_batches(self) -> Iterator[list[int]]:
        return self._apart() if self.neighbours == "apart" else self._in_order()

    def _in_order(self) -> Iterator[list[int]]:
        order = self._order().tolist()
        for first in range(0, len(self) * self.batch_size, self.batch_size):
            yield order[first : first + self.batch_size]

    def _apart(self) -> Iterator[list[int]]:
        pending = deque(self._order().tolist())
        for _ in range(len(self)):
            batch: list[int] = []
            blocked: set[int] = set()
            deferred: list[int] = []
            filled_up = 0
            while len(batch) < self.batch_size:
                if not pending:  # at the end of an epoch: some anchors appear a second time
                    pending.extend(np.concatenate(self.anchors).tolist())
                    filled_up += 1
                    if filled_up == 2:  # all are blocked: keep apart only within episodes
                        blocked = {near for chosen in batch for near in self._near(chosen)}
                anchor = pending.popleft()
                if anchor in blocked:
                    deferred.append(anchor)
                else:
                    batch.append(anchor)
                    # Frames before and after a lost life are alike: keep apart across episodes.
                    across = range(anchor - self.gap + 1, anchor + self.gap)
                    blocked.update(across if filled_up < 2 else self._near(anchor))
            pending.extendleft(reversed(deferred))  # they come first in the next batch
            yield batch

    def _near(self, anchor: int) -> range:
        """Give the anchors of the same episode that are too close to share a batch with one."""
        own = next(part for part in self.anchors if part[0] <= anchor <= part[-1])
        return range(
            max(int(own[0]), anchor - self.gap + 1), min(int(own[-1]) + 1, anchor + self.gap)
        )


def same_episode_frames(anchors: Tensor, start: Tensor, length: Tensor, chance: Tensor) -> Tensor:
    """Choose for each anchor another frame of its episode, uniformly.

    Args:
        anchors: int64 [B], positions of the anchors.
        start: int64 [B], positions of their episodes' first frames.
        length: int64 [B], numbers of frames of their episodes, at least 2.
        chance: float64 [B], random numbers, uniform in [0, 1).

    Returns:
        int64 [B], positions of the chosen frames.
    """
    others = start + (chance * (length - 1)).long()
    return others + (others >= anchors)


class FrameSampler(ResumableSampler):
    """Batches of single frames, for probes and supervised training.

    Args:
        positions: int64 [n], positions of the split's frames.
        batch_size: frames in a global batch, over all ranks.
        seed: random seed of the order.
        shuffle: True for a random order, without up to W - 1 frames in every epoch so that all
            ranks have equal shares. False for the frames in order; the last batch may then be
            smaller on some ranks.
        num_replicas: W, the number of ranks.
        rank: this rank.

    Raises:
        ConfigurationError: W does not divide the batch size.
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
            len(positions),
            num_replicas=num_replicas,
            rank=rank,
            shuffle=shuffle,
            seed=seed,
        )
        self.positions = positions
        self.batch_size = batch_size
        # In training every rank counts the same, so the last batch must not have unequal shares.
        uneven = len(positions) % batch_size % num_replicas if shuffle else 0
        self.count = len(positions) - uneven

    def __len__(self) -> int:
        return -(-self.count // self.batch_size)

    def batches(self) -> Iterator[list[int]]:
        """Yield this rank's part of every batch of the epoch."""
        order = self.positions
        if self.shuffle:
            order = np.random.default_rng((self.seed, self.epoch)).permutation(order)
        order = order[: self.count]
        for first in range(0, len(order), self.batch_size):
            batch = order[first : first + self.batch_size]
            share = -(-len(batch) // self.num_replicas)
            yield batch[self.rank * share : (self.rank + 1) * share].tolist()
