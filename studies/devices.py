"""Do two devices train as one does? The losses of the same steps, side by side.

    python studies/devices.py [--out results/studies/devices.json]

Runs `fit` from the same seed with one device and with two, which share each batch; an epoch has
one step. At the first step the weights are the same, so only the gathering of the negatives can
make the losses differ. At later steps the gradients can, too. Every tenth loss is printed, and all
are recorded. With `--accelerator cpu` a device is a process.
"""

from __future__ import annotations

import csv
import subprocess
import sys
import tempfile
from pathlib import Path

from record import print_table, script_parser, write_record, write_table

from lightning_stdim.presets import preset_path

COUNTS = (1, 2)


def losses(devices: int, steps: int, accelerator: str, root: str) -> list[float]:
    """Train for some steps and read the loss of each."""
    options = {
        "config": preset_path("smoke"),
        "model.lr": 1e-3,  # enough to learn something in so few steps
        "model.patience": steps + 1,
        "data.root": root,
        "trainer.accelerator": accelerator,
        "trainer.devices": devices,
        "trainer.strategy": "ddp" if devices > 1 else "auto",
        "trainer.max_epochs": steps,
        "trainer.limit_train_batches": 1,
        "trainer.limit_val_batches": 1,
        "paper.max_epochs": 1,
        "controls": "false",
    }
    with tempfile.TemporaryDirectory() as folder:
        words = [f"--{name}={value}" for name, value in options.items()]
        subprocess.run(
            [sys.executable, "-m", "lightning_stdim", "fit", *words, "--out", f"{folder}/run"],
            check=True,
        )
        with Path(folder, "run", "metrics.csv").open(newline="") as file:
            found = [row.get("train/loss", "") for row in csv.DictReader(file)]
    return [float(value) for value in found if value]


def main() -> None:
    parser = script_parser(__doc__)
    parser.add_argument("--steps", type=int, default=61, help="training steps")
    parser.add_argument(
        "--accelerator", default="gpu", choices=("gpu", "cpu"), help="kind of device"
    )
    parser.add_argument("--root", default="data", help="folder of the collections")
    parser.add_argument("--out", help="file for the record (JSON)")
    arguments = parser.parse_args()
    found = {
        devices: losses(devices, arguments.steps, arguments.accelerator, arguments.root)
        for devices in COUNTS
    }
    differences = [abs(a - b) / a for a, b in zip(*found.values(), strict=True)]
    headings = ("step", *(f"{devices} devices" for devices in COUNTS), "difference")
    rows = [
        (str(step), *(f"{values[step]:.5f}" for values in found.values()), f"{difference:.1e}")
        for step, difference in enumerate(differences)
        if step % 10 == 0
    ]
    print_table(f"ST-DIM's loss on {arguments.accelerator}", headings, rows)
    write_record(
        arguments.out,
        {
            "accelerator": arguments.accelerator,
            "losses": found,
            "largest_difference": max(differences),
        },
    )
    write_table(arguments.out, headings, rows)


if __name__ == "__main__":
    main()
