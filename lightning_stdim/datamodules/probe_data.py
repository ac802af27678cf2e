"""Probe data: a stored collection, labelled, filtered and split."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch

from lightning_stdim.datamodules import store
from lightning_stdim.datamodules.batches import ProbeData
from lightning_stdim.datamodules.episodes import episodes_of
from lightning_stdim.datamodules.frames.loading import load_frames, rearranged
from lightning_stdim.datamodules.frames.on_disk import Frames
from lightning_stdim.datamodules.labels.annotations import annotation
from lightning_stdim.datamodules.labels.entropy_filter import scored
from lightning_stdim.datamodules.labels.games import LabelSet, default_label_set
from lightning_stdim.datamodules.splits import (
    PROBE_FRACTIONS,
    SplitBy,
    SplitOrder,
    frame_digests,
    frames_of,
    split_episodes,
    without_duplicates,
)
from lightning_stdim.errors import ConfigurationError


def load_probe_data(
    path: str | Path,
    *,
    label_set: LabelSet | None = None,
    entropy_threshold: float = 0.6,
    seed: int = 0,
    min_episode_length: int = 1,
    deduplicate: bool = True,
    split_order: SplitOrder = "shuffled",
    split_by: SplitBy = "frames",
    stale_first_label: bool = False,
    stale_first_frame: bool = False,
    with_frames: bool = True,
    load: Callable[[Path, Sequence[int]], Frames] = load_frames,
) -> ProbeData:
    """Read a collection for probing.

    Labels are computed from the stored RAM, so any label set can be read from any collection.

    Args:
        path: a file that ``collect`` wrote.
        label_set: labels to score; by default the paper's where it has the game.
        entropy_threshold: variables are scored only if their labels have at least this entropy, in
            nats, over the whole collection.
        seed: random seed of the data split.
        min_episode_length: shorter episodes are left out. The reference implementation asks for
            more than 64 frames without the final state, which is 66 here.
        deduplicate: remove test frames that are identical to a training or validation frame.
        split_order: how episodes are ordered before they are split: ``"shuffled"``, or ``"time"``
            as in the reference implementation.
        split_by: of what the splits get their shares: of the ``"frames"``, or of the ``"episodes"``
            whatever their lengths, as in the reference implementation.
        stale_first_label: repeat an error of the reference implementation: the first frame of every
            episode but the first is labelled with the state before the reset.
        stale_first_frame: repeat an error of the challenge report: the last frame of every
            episode that has ended is, with its label, the first of the next one.
        with_frames: read the frames, too. Without them ``ProbeData.frames`` is empty and duplicates
            stay: a quick check that there is something to probe.
        load: reads all frames of a verified file, given the path and the frames' shape.

    Returns:
        The labelled frames, with what was dropped and removed.

    Raises:
        StoreError: the file cannot be read.
        ConfigurationError: there are too few episodes to split, or nothing is left to score.
    """
    collection = store.read(path, with_frames=False)
    game = str(collection.attributes["game"])
    label_set = label_set or default_label_set(game)
    described = annotation(game, label_set)
    played = episodes_of(collection, stale_first_frames=stale_first_frame)
    rows = played.rows.copy()
    if stale_first_label:
        rows[collection.episode_start[1:]] = collection.episode_start[1:] - 1
    labels = described.decode(collection.ram[rows])
    every = frames_of(np.arange(len(played.start)), played.start, played.length)
    kept, dropped = scored(labels[every], described.variables, threshold=entropy_threshold)
    if not kept:
        raise ConfigurationError(
            f"{game}: no variable has a label entropy of {entropy_threshold} nats in "
            f"{len(labels)} frames; ask for more steps or a lower entropy threshold"
        )
    episodes = split_episodes(
        played.length,
        fractions=PROBE_FRACTIONS,
        seed=seed,
        min_length=min_episode_length,
        order=split_order,
        by=split_by,
    )
    splits = {name: frames_of(part, played.start, played.length) for name, part in episodes.items()}
    before = len(splits["test"])
    frames: Frames = torch.from_numpy(collection.frames)
    if with_frames:
        shape = (len(collection), *collection.frames.shape[1:])
        frames = rearranged(load(Path(path), shape), played.rows)
        if deduplicate:
            seen = np.concatenate([splits["train"], splits["val"]])
            splits["test"] = without_duplicates(splits["test"], seen, frame_digests(frames))
    if not len(splits["test"]):
        raise ConfigurationError(
            f"{game}: all {before} test frames also occur in the training or validation split; "
            "ask for more probe steps"
        )
    variables = tuple(described.variables[v] for v in kept)
    return ProbeData(
        game=game,
        label_set=described.label_set,
        variables=variables,
        categories={name: described.categories[name] for name in variables},
        dropped=dropped,
        frames=frames,
        labels=torch.from_numpy(np.ascontiguousarray(labels[:, kept])),
        splits={name: torch.from_numpy(part) for name, part in splits.items()},  # type: ignore[misc]
        provenance={
            "collection": collection.attributes,
            "entropy_threshold_nats": entropy_threshold,
            "split_seed": seed,
            "split_order": split_order,
            "split_by": split_by,
            "stale_first_label": stale_first_label,
            "stale_first_frame": stale_first_frame,
            "min_episode_length": min_episode_length,
            "episode_start": played.start.tolist(),
            "episodes": {name: part.tolist() for name, part in episodes.items()},
            "frames": {name: len(part) for name, part in splits.items()},
            "test_duplicates_removed": before - len(splits["test"]),
        },
        label_set_version=described.version,
    )
