"""How large is a file of collected frames, and how fast is it read into memory?

    python benchmarks/store.py [--out results/benchmarks/store.json]

Reading is everything from the call to the arrays: the checksum of the whole file, decompression,
fresh memory. The frames are freed before the next repetition.
"""

from __future__ import annotations

import statistics
import tempfile
import time

from record import print_table, script_parser, write_record

from lightning_stdim.datamodules.collection.collect import collect
from lightning_stdim.datamodules.collection.settings import CollectionSettings
from lightning_stdim.datamodules.store.hdf5 import read
from lightning_stdim.utils.hardware import cores


def main() -> None:
    parser = script_parser(__doc__)
    parser.add_argument("--game", default="pong", help="game to play")
    parser.add_argument("--steps", type=int, default=100_000, help="frames to collect")
    parser.add_argument("--repeats", type=int, default=3, help="rounds to measure")
    parser.add_argument("--root", help="where collections are kept; by default nowhere")
    parser.add_argument("--out", help="file for the record (JSON)")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        path = collect(
            CollectionSettings(arguments.game, steps=arguments.steps),
            workers=cores(),
            root=arguments.root or temporary,
        )
        on_disk = path.stat().st_size
        seconds = []
        for _ in range(arguments.repeats):
            started = time.perf_counter()
            in_memory = read(path).frames.nbytes
            seconds.append(time.perf_counter() - started)
    rate = in_memory / statistics.median(seconds)
    row = (
        f"{on_disk / 1e6:.1f} MB",
        f"{in_memory / 1e9:.2f} GB",
        f"{statistics.median(seconds):.2f} s",
        f"{rate / 1e9:.1f} GB/s",
    )
    print_table(
        f"{arguments.steps} frames of {arguments.game}",
        ("on disk", "in memory", "read in", "that is"),
        [row],
    )
    write_record(
        arguments.out,
        {
            "game": arguments.game,
            "steps": arguments.steps,
            "bytes_on_disk": on_disk,
            "bytes_in_memory": in_memory,
            "seconds_to_read": seconds,
            "bytes_per_second": rate,
        },
    )


if __name__ == "__main__":
    main()
