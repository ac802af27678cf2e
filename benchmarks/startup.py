"""How long do commands take to start, compared with importing PyTorch and Lightning?

    python benchmarks/startup.py [--out results/benchmarks/startup.json]

Times ``--help`` of every command, and ``fit`` until it has taken its first step, with frames that
are there already. Every command is a new process, as for a user. Repetitions of all commands are
interleaved. Times and ratios are medians, after one round that fills the file cache. ``fit`` ends
right after its step; the others also shut Python down.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from pytorch_lightning import Callback
from record import print_table, script_parser, write_record
from timing import in_turn

from lightning_stdim.datamodules.atari import AtariDataModule

PROGRAM = [sys.executable, "-m", "lightning_stdim"]
FLOOR = "python -c 'import torch'"
COMMANDS = {
    "python -c pass": [sys.executable, "-c", "pass"],
    FLOOR: [sys.executable, "-c", "import torch"],
    "python -c 'import pytorch_lightning'": [sys.executable, "-c", "import pytorch_lightning"],
    "--help": [*PROGRAM, "--help"],
    "collect --help": [*PROGRAM, "collect", "--help"],
    "probe --help": [*PROGRAM, "probe", "--help"],
    "benchmark --help": [*PROGRAM, "benchmark", "--help"],
    "fit --help": [*PROGRAM, "fit", "--help"],
}
if find_spec("lightning"):  # the same code under its other name
    LIGHTNING = "import lightning.pytorch"
    COMMANDS[f"python -c '{LIGHTNING}'"] = [sys.executable, "-c", LIGHTNING]
FIRST_STEP = "fit, to the end of its first step"
SIZES: dict[str, Any] = {"steps": 16_000, "probe_steps": 15_000}  # the preset laptop's


class Leave(Callback):
    """Ends the process after its first training step."""

    def on_train_batch_end(self, *_: Any) -> None:
        """End it."""
        os._exit(0)


def first_step(root: str, out: str) -> list[str]:
    """Give the command that ends so."""
    data = [f"--data.{name}={value}" for name, value in {"root": root, **SIZES}.items()]
    return [*PROGRAM, "fit", *data, f"--out={out}", "--trainer.callbacks+=startup.Leave"]


def main() -> None:
    parser = script_parser(__doc__)
    parser.add_argument("--repeats", type=int, default=5, help="rounds to measure")
    parser.add_argument("--root", default="data", help="where collections are kept")
    parser.add_argument("--out", help="file for the record (JSON)")
    arguments = parser.parse_args()
    AtariDataModule("pong", root=arguments.root, **SIZES).prepare_data()

    with tempfile.TemporaryDirectory() as folder:
        commands = COMMANDS | {FIRST_STEP: first_step(arguments.root, str(Path(folder, "run")))}
        path = os.pathsep.join(
            filter(None, [os.environ.get("PYTHONPATH"), str(Path(__file__).parent)])
        )
        run = partial(
            subprocess.run,
            check=True,
            stdout=subprocess.DEVNULL,
            env=os.environ | {"PYTHONPATH": path},
        )
        variants = {name: partial(run, command) for name, command in commands.items()}
        rounds = in_turn(variants, repeats=arguments.repeats, warm_up=1)
    medians = {name: rounds.median(name) for name in variants}
    ratios = {name: rounds.ratio(name, FLOOR) for name in variants}

    print_table(
        "Seconds until the command has ended",
        ("command", "median s", "ratio to PyTorch's import"),
        [(name, f"{m:.2f}", f"{ratios[name]:.2f}") for name, m in medians.items()],
    )
    write_record(arguments.out, {"median_seconds": medians, "ratio_to_import_torch": ratios})


if __name__ == "__main__":
    main()
