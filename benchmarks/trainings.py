"""Whole runs by the clock: from the command to the scores, and how busy a GPU is meanwhile.

    python benchmarks/trainings.py [--epochs 10] [--out results/benchmarks/trainings.json]

`fit` at the paper's budget, but for fewer epochs: ST-DIM as it is, in bfloat16, and with its loss
compiled to CUDA graphs where there is a GPU; and Random-CNN, of which probing is all. The frames
are played before. A GPU's utilisation is nvidia-smi's: the share of time in which anything ran,
read every second, the mean over training and probing alike.
"""

from __future__ import annotations

import argparse
import json
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
from record import print_table, write_record, write_table

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


def utilisation(stop: threading.Event, found: list[float]) -> None:
    """Ask for it every second, in per cent, while something runs."""
    words = [
        "nvidia-smi",
        "--query-gpu=utilization.gpu",
        "--format=csv,noheader,nounits",
        "-i",
        "0",
    ]
    while shutil.which(words[0]) and not stop.wait(1):
        said = subprocess.run(words, capture_output=True, text=True).stdout.strip()
        if said.isdecimal():
            found.append(float(said))


def run(words: list[str], folder: Path) -> dict[str, Any]:
    """Run a command of the package, and see how long it took and how busy the GPU was."""
    stop, busy = threading.Event(), list[float]()
    watch = threading.Thread(target=utilisation, args=(stop, busy))
    watch.start()
    started = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "lightning_stdim", *words, "--out", str(folder)],
        capture_output=True,
        text=True,
    )
    seconds = time.monotonic() - started
    stop.set()
    watch.join()
    if done.returncode:
        return {"failed": done.stderr.strip().splitlines()[-1]}
    results = json.loads((folder / "results.json").read_text())
    budget = results["budget"]
    return {
        "seconds": seconds,
        "training_seconds": budget["training_seconds"],
        "epochs": budget["epochs"],
        "optimizer_steps": budget["optimizer_steps"],
        "gpu_utilisation": statistics.fmean(busy) / 100 if busy else None,
        "f1": {
            name: scores["f1"]["mean_over_categories"]
            for name, scores in results["scores"]["protocols"].items()
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=100_000)
    parser.add_argument("--probe-steps", type=int, default=50_000)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--root", default="data")
    parser.add_argument("--out")
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
            print(name, json.dumps(found[name]), flush=True)
    headings = ("run", "seconds in all", "training", "an epoch", "GPU busy", "F1, converged")
    rows = []
    for name, record in found.items():
        if "failed" in record:
            rows.append((name, f"failed: {record['failed']}", "–", "–", "–", "–"))
            continue
        busy, epochs = record["gpu_utilisation"], record["epochs"]
        rows.append(
            (
                name,
                f"{record['seconds']:.0f}",
                f"{record['training_seconds']:.0f}",
                f"{record['training_seconds'] / epochs:.2f}" if record["optimizer_steps"] else "–",
                "–" if busy is None else f"{busy:.0%}",
                f"{record['f1']['converged']:.2f}",
            )
        )
    print_table(f"Runs on {GAME}, {arguments.epochs} epochs", headings, rows)
    write_record(arguments.out, {"steps": arguments.steps, "runs": found})
    write_table(arguments.out, headings, rows)


if __name__ == "__main__":
    main()
