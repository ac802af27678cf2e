"""The formats of batches, which every method, probe and callback receives.

There is one for each stage of the data module:

* ``"pretrain"``: a :class:`SequenceBatch`. Time is the first axis, so that
  ``past, present = batch.frames`` reads a pair and ``for frames in batch.frames`` a sequence.
* ``"probe"``: a :class:`ProbeBatch`.

:class:`ProbeData` is for those who want everything at once: all labelled frames of a probe
collection with their splits.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor

from lightning_stdim.datamodules.frames.on_disk import Frames
from lightning_stdim.datamodules.labels.annotations import MAX_LABEL
from lightning_stdim.errors import ConfigurationError

Split = Literal["train", "val", "test"]


class SequenceBatch(NamedTuple):
    """Consecutive frames of one episode, for B anchors.

    Attributes:
        frames: uint8 [T, B, C, 210, 160], values 0 to 255. ``frames[k]`` are the observations at
            time ``t - (T - 1) + k`` where t is the anchor's time; T is 2 for a pair. C is the
            channels of a frame (1, or 3 in colour) times the number of successive frames in an
            observation, the newest last.
        anchors: int64 [B], positions of the last frames in the collection.
        same_episode_frames: uint8 [B, C, 210, 160], for each anchor another observation of its
            episode, drawn uniformly; None for methods that do not ask for it.
    """

    frames: Tensor
    anchors: Tensor
    same_episode_frames: Tensor | None = None

    def pair(self) -> Tensor:
        """Give the frames of a batch of pairs.

        Returns:
            uint8 [2, B, C, 210, 160]: past and present.

        Raises:
            ConfigurationError: the sequences have another length than 2.
        """
        return self.sequences(2)

    def sequences(self, length: int) -> Tensor:
        """Give the frames of a batch of sequences.

        Args:
            length: T, the one that the method takes.

        Returns:
            uint8 [T, B, C, 210, 160].

        Raises:
            ConfigurationError: the sequences have another length.
        """
        if len(self.frames) != length:
            raise ConfigurationError(
                f"this method takes sequences of {length} frames, not of {len(self.frames)}: leave "
                "out --data.sequence_length"
            )
        return self.frames


class ProbeBatch(NamedTuple):
    """Frames with the labels of the same emulator states.

    Attributes:
        frames: uint8 [B, C, 210, 160], values 0 to 255; C as in :class:`SequenceBatch`.
        labels: int64 [B, V], values 0 to 255; column v is ``ProbeData.variables[v]``.
    """

    frames: Tensor
    labels: Tensor


@dataclass(frozen=True)
class ProbeData:
    """A probe collection, labelled, filtered and split.

    Attributes:
        game: canonical name, such as ``"pong"``.
        label_set: ``"paper"``, ``"upstream"``, or the name of labels of your own.
        variables: names of the V scored variables, in column order.
        categories: for each scored variable the score categories that it counts in (none, one or
            two).
        dropped: for each variable that is not scored, the reason in words.
        frames: uint8 [N, 210, 160], or [N, 3, 210, 160] in colour, all frames of the collection: a
            tensor, or an object that is indexed like one if they do not fit in memory.
        labels: int64 [N, V], values 0 to 255.
        splits: for ``"train"``, ``"val"`` and ``"test"`` the int64 [n] positions of their frames
            in ``frames``, ascending, without the test frames that duplicate another split's.
        provenance: plain data for the results file: the collection's attributes, episodes and
            frames per split, duplicates removed.
        label_set_version: version of the label set.

    Raises:
        ConfigurationError: a label is not in 0..255, so that the probes have no class for it.
    """

    game: str
    label_set: str
    variables: tuple[str, ...]
    categories: dict[str, tuple[str, ...]]
    dropped: dict[str, str]
    frames: Frames
    labels: Tensor
    splits: dict[Split, Tensor]
    provenance: dict[str, Any] = field(default_factory=dict)
    label_set_version: int = 1

    @property
    def episode_start(self) -> Tensor | None:
        """Positions of the episodes' first frames, int64 [E], ascending; None if unknown."""
        starts = self.provenance.get("episode_start")
        return None if starts is None else torch.as_tensor(starts)

    def __post_init__(self) -> None:
        for name, labels in zip(self.variables, self.labels.unbind(1), strict=True):
            if len(labels) and not 0 <= labels.min() <= labels.max() <= MAX_LABEL:
                raise ConfigurationError(
                    f"{name} of {self.game} has labels {labels.min()} to {labels.max()} in label "
                    f"set {self.label_set!r}: probes take labels 0 to {MAX_LABEL}"
                )
