"""How long do whole runs take, from the command to the scores, and how busy is the GPU?

    python benchmarks/trainings.py [--epochs 10] [--out results/benchmarks/trainings.json]

Runs `fit` at the paper's budget with fewer epochs: ST-DIM as it is, in bfloat16, and (with a GPU)
with its loss compiled to CUDA graphs; and Random-CNN, which is only probed. The frames are
collected before. `an epoch` is the mean of the epochs after the second: the first two also do what
is done once, such as compiling. The GPU's utilisation is that of nvidia-smi, the share of time in
which anything ran, read every half second during those epochs.

``make benchmarks`` leaves it out: it is for a machine with a GPU, and takes long without one.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import torch
from record import print_table, script_parser, write_record, write_table

from lightning_stdim.datamodules.atari import AtariDataModule
from lightning_stdim.presets import preset_path

GAME = "pong"
BF16 = ["--trainer.precision", "bf16-mixed"]
GRAPHS = ["--trainer.callbacks+=CompileLoss", "--trainer.callbacks.mode=reduce-overhead"]
RUNS = {
    "Random-CNN": ["--model", "RandomCNN"],
    "ST-DIM": ["--model", "STDIM"],
    "ST-DIM in bfloat16": ["--model", "STDIM", *BF16],
    "the same, CUDA graphs": ["--model", "STDIM", *BF16, *GRAPHS],
}


class Utilisation(threading.Thread):
    """Asks for a GPU's utilisation, in per cent, until it is told to stop."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.found: list[tuple[float, float]] = []
        self.stop = threading.Event()

    def run(self) -> None:
        """Read it every half second; nothing where there is no nvidia-smi."""
        query = "--query-gpu=utilization.gpu --format=csv,noheader,nounits --id=0"
        words = ["nvidia-smi", *query.split()]
        while shutil.which(words[0]) and not self.stop.wait(0.5):
            said = subprocess.run(words, capture_output=True, text=True).stdout.strip()
            if said.isdecimal():
                self.found.append((time.monotonic(), float(said)))

    def between(self, start: float, stop: float) -> float | None:
        """Average it over a time, 0 to 1."""
        found = [value for when, value in self.found if start <= when <= stop]
        return statistics.fmean(found) / 100 if found else None


def run(words: list[str], folder: Path) -> dict[str, Any]:
    """Run a command of the package; see how long its parts took and how busy the GPU was."""
    watch = Utilisation()
    watch.start()
    started = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-m", "lightning_stdim", *words, "--out", str(folder)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    assert process.stdout is not None
    epochs, last = [], ""
    try:
        for line in process.stdout:
            last = line.strip() or last
            if line.startswith("epoch "):  # as it ends
                epochs.append(time.monotonic())
        status = process.wait()
    finally:
        watch.stop.set()
        process.kill()
    seconds = time.monotonic() - started
    if status:
        return {"failed": last or f"status {status}"}
    results = json.loads((folder / "results.json").read_text())
    steady = len(epochs) > 2
    return {
        "seconds": seconds,
        "until_first_epoch_s_end": epochs[0] - started if epochs else None,
        "epoch_seconds": (epochs[-1] - epochs[1]) / (len(epochs) - 2) if steady else None,
        "gpu_utilisation": watch.between(epochs[1], epochs[-1]) if steady else None,
        "budget": results["budget"],
        "f1": {
            name: scores["f1"]["mean_over_categories"]
            for name, scores in results["scores"]["protocols"].items()
        },
    }


def report(out: str | None, found: dict[str, dict[str, Any]]) -> None:
    """Print and write what has been measured so far."""
    headings = ("run", "seconds in all", "an epoch", "100 epochs, minutes", "GPU busy", "converged")
    rows = []
    for name, record in found.items():
        if "failed" in record:
            rows.append((name, f"failed: {record['failed']}", "–", "–", "–", "–"))
            continue
        epoch, busy = record["epoch_seconds"], record["gpu_utilisation"]
        rows.append(
            (
                name,
                f"{record['seconds']:.0f}",
                "–" if epoch is None else f"{epoch:.2f}",
                "–" if epoch is None else f"{100 * epoch / 60:.1f}",
                "–" if busy is None else f"{busy:.0%}",
                f"{record['f1']['converged']:.2f}",
            )
        )
    print_table(f"Runs on {GAME}", headings, rows)
    write_record(out, {"runs": found})
    write_table(out, headings, rows)


def main() -> None:
    parser = script_parser(__doc__)
    parser.add_argument("--steps", type=int, default=100_000, help="frames to pretrain on")
    parser.add_argument("--probe-steps", type=int, default=50_000, help="frames to probe")
    parser.add_argument("--epochs", type=int, default=10, help="training epochs")
    parser.add_argument("--root", default="data", help="folder of the collections")
    parser.add_argument("--out", help="file for the record (JSON)")
    arguments = parser.parse_args()
    options = {
        "--config": str(preset_path("paper")),
        "--data.game": GAME,
        "--data.root": arguments.root,
        "--data.steps": arguments.steps,
        "--data.probe_steps": arguments.probe_steps,
        "--trainer.max_epochs": arguments.epochs,
    }
    common = [str(word) for option in options.items() for word in option]
    data = AtariDataModule(
        GAME, steps=arguments.steps, probe_steps=arguments.probe_steps, root=arguments.root
    )
    data.collect("pretrain")
    data.collect("probe")
    found: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, words in RUNS.items():
            if "graphs" in name and not torch.cuda.is_available():
                continue
            found[name] = run(["fit", *common, *words], Path(folder, name))
            report(arguments.out, found)


if __name__ == "__main__":
    main()
