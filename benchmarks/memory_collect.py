"""Does the peak memory of collecting grow with the number of steps? It must not.

    python benchmarks/memory_collect.py [--out results/benchmarks/memory_collect.json]

Every collection is made by a process of its own, which then prints its own peak resident size and
that of its largest worker.

``make benchmarks`` leaves it out: it takes twenty minutes.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time

# Nothing large is imported above: a process's peak counts what its parent was when it began.
SCRIPT = """
import json, resource, sys
from lightning_stdim.datamodules.collection.collect import collect
from lightning_stdim.datamodules.collection.settings import CollectionSettings
game, steps, workers, root = sys.argv[1:]
settings = CollectionSettings(game, steps=int(steps))
collect(settings, workers=int(workers), root=root, progress=False)
unit = 1 if sys.platform == "darwin" else 1024
who = {"parent": resource.RUSAGE_SELF, "worker": resource.RUSAGE_CHILDREN}
print(json.dumps({name: resource.getrusage(of).ru_maxrss * unit for name, of in who.items()}))
"""


def measure(game: str, steps: int, workers: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as root:
        started = time.perf_counter()
        command = [sys.executable, "-c", SCRIPT, game, str(steps), str(workers), root]
        out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        return {"steps": steps, "seconds": time.perf_counter() - started, **json.loads(out)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--game", default="pong", help="game to play")
    parser.add_argument(
        "--steps",
        type=int,
        nargs="+",
        default=[50_000, 200_000, 1_000_000],
        help="numbers of steps to collect",
    )
    parser.add_argument("--workers", type=int, default=1, help="worker processes")
    parser.add_argument("--out", help="file for the record (JSON)")
    arguments = parser.parse_args()
    rows = [measure(arguments.game, steps, arguments.workers) for steps in arguments.steps]
    from record import print_table, write_record

    print_table(
        f"Collecting {arguments.game} with {arguments.workers} worker(s)",
        ("steps", "seconds", "parent, peak MB", "largest worker, peak MB"),
        [
            (
                f"{row['steps']}",
                f"{row['seconds']:.0f}",
                f"{row['parent'] / 1e6:.0f}",
                f"{row['worker'] / 1e6:.0f}",
            )
            for row in rows
        ],
    )
    write_record(
        arguments.out,
        {"game": arguments.game, "workers": arguments.workers, "peak_bytes": rows},
    )


if __name__ == "__main__":
    main()
