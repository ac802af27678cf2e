"""How long ``--help`` takes, beside what Python and PyTorch take to start.

    python benchmarks/startup.py [--out results/benchmarks/startup.json]

Every command is a new process, as for a user. Repetitions of all commands are interleaved; times
are medians, after one round that fills the file cache.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time

from record import print_table, write_record

PROGRAM = [sys.executable, "-m", "lightning_stdim"]
FLOOR = "python -c 'import torch'"
COMMANDS = {
    "python -c pass": [sys.executable, "-c", "pass"],
    FLOOR: [sys.executable, "-c", "import torch"],
    "python -c 'import lightning'": [sys.executable, "-c", "import lightning"],
    "--help": [*PROGRAM, "--help"],
    "collect --help": [*PROGRAM, "collect", "--help"],
    "probe --help": [*PROGRAM, "probe", "--help"],
    "benchmark --help": [*PROGRAM, "benchmark", "--help"],
    "fit --help": [*PROGRAM, "fit", "--help"],
}


def seconds(command: list[str]) -> float:
    started = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--out", default=None, help="write the numbers as JSON here")
    arguments = parser.parse_args()

    times: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for repeat in range(arguments.repeats + 1):
        for name, command in COMMANDS.items():
            taken = seconds(command)
            if repeat:
                times[name].append(taken)
    medians = {name: statistics.median(values) for name, values in times.items()}

    print_table(
        "Seconds until the command has ended",
        ("command", "median s", "ratio to PyTorch's import"),
        [(name, f"{m:.2f}", f"{m / medians[FLOOR]:.2f}") for name, m in medians.items()],
    )
    write_record(
        arguments.out,
        {
            "median_seconds": medians,
            "ratio_to_import_torch": {n: m / medians[FLOOR] for n, m in medians.items()},
        },
    )


if __name__ == "__main__":
    main()
