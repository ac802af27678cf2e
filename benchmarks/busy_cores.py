"""What does other work on the cores cost, with threads that spin and with threads that sleep soon?

    python benchmarks/busy_cores.py [--out results/benchmarks/busy_cores.json]

Times the converged probe of one variable (many small products, after each of which the threads
wait for each other) and the encoder's passes over a batch, alone and beside processes that take a
core each. Every run is a process of its own, since how threads wait is a setting of the process.
The runs of a row take turns.

``make benchmarks`` leaves it out: it takes many minutes and keeps all cores busy.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time

import as_command_line  # noqa: F401
import torch
from record import print_table, script_parser, write_record, write_table
from timing import Rounds
from workload import encoder_passes, frame_pool

from lightning_stdim.encoders import NatureEncoder
from lightning_stdim.probes.logistic import Logistic, minimise
from lightning_stdim.torch_environment import SETTINGS
from lightning_stdim.utils.hardware import cores

WAYS = {
    "spinning": SETTINGS | {"GOMP_SPINCOUNT": "300000"},  # what GNU's OpenMP does by itself
    "as we have it": SETTINGS,
}
PARTS = ("converged probe", "encoder's passes")
BUSY = "while True: pass"


def run() -> None:
    """Print the seconds of both parts."""
    torch.manual_seed(0)
    features = torch.randn(4000, 257)
    features[:, -1] = 1
    labels = (features[:, :50] @ torch.randn(50, 100)).argmax(1)
    labels[:100] = torch.arange(100)  # each occurs
    problem = Logistic(features, labels, 100)
    penalty = torch.full((257,), 1e-3)
    penalty[-1] = 0
    passes = encoder_passes(NatureEncoder(), frame_pool(128).unsqueeze(1))
    passes()
    marks = [time.perf_counter()]
    minimise(problem, problem.start(), penalty, tolerance=1e-5)
    marks.append(time.perf_counter())
    passes()
    passes()
    marks.append(time.perf_counter())
    print(json.dumps([marks[1] - marks[0], (marks[2] - marks[1]) / 2]))


def main() -> None:
    parser = script_parser(__doc__)
    parser.add_argument("--repeats", type=int, default=5, help="rounds to measure")
    parser.add_argument("--run", action="store_true", help="one process's part")
    parser.add_argument("--out", help="file for the record (JSON)")
    arguments = parser.parse_args()
    if arguments.run:
        run()
        return
    rows, records = [], []
    for busy in sorted({0, max(1, cores() // 2), cores()}):
        others = [subprocess.Popen([sys.executable, "-c", BUSY]) for _ in range(busy)]
        rounds = Rounds()
        try:
            for _ in range(arguments.repeats):
                for way, settings in WAYS.items():
                    words = [sys.executable, __file__, "--run"]
                    done = subprocess.run(
                        words, env=os.environ | settings, check=True, stdout=subprocess.PIPE
                    )
                    for part, seconds in zip(PARTS, json.loads(done.stdout), strict=True):
                        rounds.add(f"{part}, {way}", seconds)
        finally:
            for other in others:
                other.kill()
                other.wait()
        for part in PARTS:
            spinning, ours = (f"{part}, {way}" for way in WAYS)
            lower, middle, upper = rounds.quartiles(ours, spinning)
            rows.append(
                (
                    part,
                    str(busy),
                    *(f"{rounds.median(name):.2f}" for name in (spinning, ours)),
                    *(f"{ratio:.2f}" for ratio in (middle, lower, upper)),
                )
            )
        records.append({"busy_cores": busy, "seconds": rounds.values})
    headings = ("part", "busy cores", "spinning s", "ours s", "ratio", "lower", "upper")
    print_table(f"{torch.get_num_threads()} threads", headings, rows)
    write_record(arguments.out, {"threads": torch.get_num_threads(), "rows": records})
    write_table(arguments.out, headings, rows)


if __name__ == "__main__":
    main()
