"""How long ``--help`` takes, beside what Python and PyTorch take to start.

    python benchmarks/startup.py [--out results/benchmarks/startup.json]

Every command is a new process, as for a user. Repetitions of all commands are interleaved; times
and ratios are medians, after one round that fills the file cache.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from functools import partial

from record import print_table, write_record
from timing import in_turn

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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--out", default=None, help="write the numbers as JSON here")
    arguments = parser.parse_args()

    run = partial(subprocess.run, check=True, stdout=subprocess.DEVNULL)
    variants = {name: partial(run, command) for name, command in COMMANDS.items()}
    rounds = in_turn(variants, repeats=arguments.repeats, warm_up=1)
    medians = {name: rounds.median(name) for name in variants}
    ratios = {name: rounds.ratio(name, FLOOR) for name in variants}

    print_table(
        "Seconds until the command has ended",
        ("command", "median s", "ratio to PyTorch's import"),
        [(name, f"{m:.2f}", f"{ratios[name]:.2f}") for name, m in medians.items()],
    )
    write_record(
        arguments.out,
        {
            "median_seconds": medians,
            "ratio_to_import_torch": ratios,
        },
    )


if __name__ == "__main__":
    main()
