"""The frame bank: the frames of a collection on a device, and batches gathered from them there."""

from __future__ import annotations

import numpy as np
import torch
from pytorch_lightning.utilities import rank_zero_info
from torch import Tensor

from lightning_stdim.datamodules.batches import ProbeBatch, SequenceBatch
from lightning_stdim.datamodules.frames.loading import fits
from lightning_stdim.datamodules.frames.on_disk import Frames
from lightning_stdim.datamodules.frames.stacking import observations
from lightning_stdim.datamodules.samplers import same_episode_frames


class FrameBank:
    """Where batches come from: frames, episodes and labels, all on one device.

    Frames in memory are copied to a GPU if they fit there. If they do not, which is said once, or
    if they are on disk, batches are gathered on the CPU and sent. Gathering never has the GPU wait
    for the CPU, or the CPU for the GPU.

    Args:
        frames: uint8 [N, 210, 160], or [N, 3, 210, 160] in colour.
        episode_start: int64 [E], positions of the episodes' first frames, ascending.
        episode_length: int64 [E], the episodes' numbers of frames.
        labels: int64 [N, V], the labels of every frame, if there are any.
        device: where batches are wanted; by default where the frames are.
    """

    def __init__(
        self,
        frames: Frames,
        episode_start: Tensor,
        episode_length: Tensor,
        labels: Tensor | None = None,
        *,
        device: torch.device | None = None,
    ) -> None:
        self.device = frames.device if device is None else device
        self.frames = _moved(frames, self.device)
        place = self.frames.device
        self.episode_start = episode_start.to(place)
        self.episode_length = episode_length.to(place)
        self.labels = None if labels is None else labels.to(place)
        self._chances: tuple[tuple[int, int], Tensor] | None = None

    def labelled_frames(self, positions: Tensor, *, frame_stack: int = 1) -> ProbeBatch:
        """Gather frames with their labels.

        Args:
            positions: int64 [B], the frames' positions.
            frame_stack: successive frames per observation.

        Returns:
            The batch, on the device where it is wanted.
        """
        assert self.labels is not None, "only labelled frames can be gathered with their labels"
        positions = self._here(positions)
        frames = observations(self.frames, positions, self.episode_start, frame_stack)
        return ProbeBatch(frames.to(self.device), self.labels[positions].to(self.device))

    def sequences(
        self,
        anchors: Tensor,
        *,
        length: int = 2,
        frame_stack: int = 1,
        wrap: bool = False,
        others: tuple[int, int] | None = None,
    ) -> SequenceBatch:
        """Gather sequences of consecutive frames.

        Args:
            anchors: int64 [B], positions of the sequences' last frames; every sequence must lie
                within an episode, unless `wrap`.
            length: frames per sequence, T.
            frame_stack: successive frames per observation.
            wrap: have an episode's first frame follow on its last one.
            others: a seed and an epoch, to draw for each anchor another frame of its episode too.
                The draw depends on both and on the anchor's position, not on the batch.

        Returns:
            The batch, on the device where it is wanted.
        """
        anchors = self._here(anchors)
        offsets = torch.arange(1 - length, 1, device=anchors.device)
        times = offsets[:, None] + anchors  # [T, B]
        if wrap or others is not None:
            episode = torch.bucketize(anchors, self.episode_start, right=True) - 1
            start, extent = self.episode_start[episode], self.episode_length[episode]
        if wrap:
            times = start + (times - start) % extent
        sequences = observations(self.frames, times, self.episode_start, frame_stack)
        drawn = None
        if others is not None:
            chance = self._chance(*others)[anchors]
            chosen = same_episode_frames(anchors, start, extent, chance)
            drawn = observations(self.frames, chosen, self.episode_start, frame_stack)
        return SequenceBatch(
            sequences.to(self.device),
            anchors.to(self.device),
            None if drawn is None else drawn.to(self.device),
        )

    def _here(self, positions: Tensor) -> Tensor:
        """Send positions to the frames, without waiting for their arrival."""
        return positions.to(self.frames.device, non_blocking=True)

    def _chance(self, seed: int, epoch: int) -> Tensor:
        """Draw a number in [0, 1) for every position, once an epoch."""
        if self._chances is None or self._chances[0] != (seed, epoch):
            drawn = torch.from_numpy(
                np.random.default_rng((seed, epoch, 1)).random(len(self.frames))
            )
            self._chances = (seed, epoch), drawn.to(self.frames.device)
        return self._chances[1]


def _moved(frames: Frames, device: torch.device) -> Frames:
    """Move frames in memory to a GPU, if they fit there."""
    if device.type != "cuda" or not isinstance(frames, Tensor) or frames.device == device:
        return frames
    if fits(frames.nbytes, device):
        return frames.to(device)
    rank_zero_info(
        f"{frames.nbytes / 1e9:.1f} GB of frames do not fit on {device}: gathering batches on the "
        "CPU, which is slower"
    )
    return frames
