"""What does it cost to gather batches from frames on disk, compared with frames in memory?

    python benchmarks/frames_on_disk.py [--out results/benchmarks/frames_on_disk.json]

The batches are those of ST-DIM: pairs of consecutive frames at random places of the collection. The
same batches are gathered in both ways, in turn, and must be equal.
"""

from __future__ import annotations

import time

import numpy as np
import torch
from record import print_table, script_parser, write_record
from timing import Rounds

from lightning_stdim.datamodules import store
from lightning_stdim.datamodules.collection.collect import collect
from lightning_stdim.datamodules.collection.settings import CollectionSettings
from lightning_stdim.datamodules.frames.on_disk import Frames, FramesOnDisk
from lightning_stdim.datamodules.frames.stacking import observations
from lightning_stdim.datamodules.samplers import SequenceSampler


def main() -> None:
    parser = script_parser(__doc__)
    parser.add_argument("--game", default="pong", help="game to play")
    parser.add_argument("--steps", type=int, default=20_000, help="frames to collect")
    parser.add_argument("--batch-size", type=int, default=64, help="pairs in a batch")
    parser.add_argument("--batches", type=int, default=30, help="batches to take")
    parser.add_argument("--root", default="data", help="folder of the collections")
    parser.add_argument("--out", help="file for the record (JSON)")
    arguments = parser.parse_args()
    path = collect(CollectionSettings(arguments.game, steps=arguments.steps), root=arguments.root)
    collection = store.read(path)
    ways: dict[str, Frames] = {
        "in memory": torch.from_numpy(collection.frames),
        "on disk": FramesOnDisk(path, collection.frames.shape),
    }
    starts = torch.from_numpy(collection.episode_start)
    episodes = np.stack([collection.episode_start, collection.episode_length], axis=1)
    batches = iter(
        SequenceSampler(episodes, sequence_length=2, batch_size=arguments.batch_size, seed=0)
    )
    rounds = Rounds()
    for _ in range(arguments.batches):
        anchors = torch.tensor(next(batches))
        times = torch.stack([anchors - 1, anchors])
        gathered = []
        for way, frames in ways.items():
            started = time.perf_counter()
            gathered.append(observations(frames, times, starts, 1))
            rounds.add(way, time.perf_counter() - started)
        assert torch.equal(*gathered)
    medians = {way: rounds.median(way) for way in ways}
    print_table(
        f"Gathering {arguments.batch_size} pairs of {arguments.steps} frames of "
        f"{arguments.game}, median of {arguments.batches}",
        ("frames", "ms a batch", "batches/s"),
        [(way, f"{1e3 * taken:.1f}", f"{1 / taken:.0f}") for way, taken in medians.items()],
    )
    write_record(
        arguments.out,
        {
            "game": arguments.game,
            "steps": arguments.steps,
            "batch_size": arguments.batch_size,
            "seconds_a_batch": rounds.values,
            "median_milliseconds_a_batch": {way: 1e3 * s for way, s in medians.items()},
        },
    )


if __name__ == "__main__":
    main()
