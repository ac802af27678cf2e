"""Writing the file of a collection from the segments of its games."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lightning_stdim.datamodules import store
from lightning_stdim.datamodules.collection import recorder, segment_file
from lightning_stdim.datamodules.collection.seeds import game_seed
from lightning_stdim.datamodules.collection.settings import CollectionSettings
from lightning_stdim.datamodules.collection.unfinished import UnfinishedCollection, has_segments
from lightning_stdim.datamodules.columns import STATE_COLUMNS, Columns, States
from lightning_stdim.errors import StoreError


def assemble(
    unfinished: UnfinishedCollection,
    settings: CollectionSettings,
    attributes: dict[str, Any],
    segments: Iterator[tuple[int, Path]],
) -> Path:
    """Write a collection's file from its segments, while they are being played.

    Args:
        unfinished: the folder of the segments, in which the file is written.
        settings: what is collected.
        attributes: the file's attributes. ``mean_return`` is added, the mean over the games that
            were played to their end, unless there is none.
        segments: pairs of a game's number and a segment's file, in order from the collection's
            beginning. Rows beyond the last step are left out.

    Returns:
        The file's path.

    Raises:
        ConfigurationError: the games cannot be played (raised by `segments`).
        EncoderError: the agent's file holds something else (raised by `segments`).
        StoreError: a file cannot be read or written, or a worker died. The message says what is
            kept.
        KeyboardInterrupt: writing was interrupted. The message says what is kept.
    """
    steps, labels = settings.steps, settings.labels
    waiting: list[Columns] = []  # the states that are not written yet
    ends: list[NDArray[np.int64]] = []  # the rows after the episodes' last ones
    games: list[int] = []  # each segment's game
    firsts: list[int] = []  # each segment's first row
    returns: defaultdict[int, float] = defaultdict(float)  # each game's sum of rewards
    over = False  # whether the last game was played to its end

    def frames() -> Iterator[NDArray[np.uint8]]:
        row = 0
        for game, segment in segments:
            columns = segment_file.read(segment)
            waiting.append({name: columns[name] for name in STATE_COLUMNS})
            games.append(game)
            firsts.append(row)
            returns[game] += float(columns["rewards"].sum())
            row += len(columns["actions"])
            yield from recorder.frames(columns, settings.pixels)

    def states(rows: slice) -> Columns:
        nonlocal over
        joined = {name: np.concatenate([part[name] for part in waiting]) for name in STATE_COLUMNS}
        count = rows.stop - rows.start
        waiting[:] = [{name: column[count:] for name, column in joined.items()}]
        given = {name: column[:count] for name, column in joined.items()}
        if rows.stop == steps:
            given["truncated"][-1] |= not given["terminated"][-1]
            over = States(**given).game_over()
        ends.append(np.flatnonzero(given["terminated"] | given["truncated"]) + rows.start + 1)
        return {**given, "labels": labels.decode(given["ram"]).astype(np.uint8)}

    def finish() -> tuple[Columns, dict[str, Any]]:
        stop = np.concatenate(ends)
        start = np.concatenate([[0], stop[:-1]])
        segments_of = np.searchsorted(firsts, start, side="right") - 1
        seeds = np.array([game_seed(settings.seed, games[segment]) for segment in segments_of])
        whole = [returns[game] for game in returns if over or game != games[-1]]
        mean = {"mean_return": float(np.mean(whole))} if whole else {}
        return {"start": start, "length": stop - start, "seed": seeds}, {**attributes, **mean}

    whole = unfinished.folder / "whole.h5"
    try:
        store.write_stream(
            whole,
            steps,
            frames(),
            states,
            finish,
            variables=labels.variables,
            pixels=settings.pixels,
        )
    except (StoreError, KeyboardInterrupt) as error:
        reason = str(error) or "interrupted"
        if not has_segments(unfinished.folder):
            raise type(error)(f"{reason}; there is nothing to keep yet") from None
        raise type(error)(
            f"{reason}; what was played is kept in {unfinished.folder} ({unfinished.reached()} of "
            f"{steps} steps from the beginning): do the same again to go on"
        ) from None
    return whole
