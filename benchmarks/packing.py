"""How many runs an hour does one device finish, and which way of packing them is best?

    python benchmarks/packing.py [--runs 2,4] [--out results/benchmarks/packing.json]

Times the training steps of several seeds of ST-DIM: one alone, then several packed in three ways:

* ``processes``: a process for each, with its share of the cores, as `benchmark --jobs N` has it;
* ``threads``: all in one process, a thread for each, with its share of the cores and on a GPU a
  stream; PyTorch has one thread for all backward passes of a device;
* ``stacked``: the seeds' weights stacked, one step for all through ``torch.func``, each seed on
  frames of its own.

All runs have taken steps before the clock starts, and all are timed for equally long. A run is a
number of optimiser steps, by default those of the paper.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from typing import Any

import torch
from record import print_table, script_parser, write_record, write_table
from timing import rate, warm
from torch import Tensor
from torch.func import functional_call, grad, stack_module_state, vmap
from workload import Loss, contiguous, frame_pool, pairs, training_step

from lightning_stdim.benchmark.executors import shares
from lightning_stdim.datamodules.batches import SequenceBatch
from lightning_stdim.methods import STDIM
from lightning_stdim.utils.hardware import cores

BATCH = 64
PAPER = 100 * 80_000 // BATCH
"""Optimiser steps of the paper's 100 epochs: four fifths of its 100 000 frames are trained on."""
DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
PATIENCE = 120
"""Seconds that runs wait for each other to be ready."""


def precision(bf16: bool) -> Any:
    return torch.autocast(DEVICE.type, torch.bfloat16) if bf16 else nullcontext()


def one(seed: int, bf16: bool) -> Callable[[], None]:
    """Give the step of one run."""
    torch.manual_seed(seed)
    method = STDIM().to(DEVICE)
    batch = pairs(BATCH, DEVICE)

    def loss() -> Tensor:
        with precision(bf16):
            return method.loss(batch)["loss"]

    return training_step(method, loss)


def stacked(runs: int, bf16: bool) -> Callable[[], None]:
    """Give one step of several runs at once."""
    losses = []
    for seed in range(runs):
        torch.manual_seed(seed)
        losses.append(Loss(STDIM()).to(DEVICE))
        contiguous(losses[-1].method.encoder)  # vmap knows nothing of memory formats
    weights, _ = stack_module_state(losses)
    weights = {name: weight.detach() for name, weight in weights.items()}
    frames = frame_pool(2 * BATCH * runs).view(runs, 2, BATCH, 1, 210, 160).to(DEVICE)
    anchors = torch.arange(BATCH, device=DEVICE)
    method = losses[0].method
    optimizer = torch.optim.Adam(weights.values(), lr=method.lr, eps=method.eps, fused=True)

    def loss(weights: dict[str, Tensor], frames: Tensor) -> Tensor:
        batch = SequenceBatch(frames, anchors)
        value: Tensor = functional_call(losses[0], weights, (batch,))
        return value

    gradients = vmap(grad(loss))

    def step() -> None:
        with precision(bf16):
            found = gradients(weights, frames)
        for name, weight in weights.items():
            weight.grad = found[name]
        optimizer.step()

    return step


def in_threads(runs: int, bf16: bool, seconds: float) -> float:
    """Take the steps of several runs in a thread each."""
    ready = threading.Barrier(runs)

    def work(seed: int) -> float:
        try:
            torch.set_num_threads(max(1, cores() // runs))
            stream = torch.cuda.Stream() if torch.cuda.is_available() else None
            with torch.cuda.stream(stream) if stream else nullcontext():
                step = warm(one(seed, bf16))
                ready.wait(PATIENCE)
                return rate(step, seconds)
        except BaseException:
            ready.abort()  # nobody is to wait for this one
            raise

    with ThreadPoolExecutor(runs) as pool:
        return sum(pool.map(work, range(runs)))


def in_processes(runs: int, bf16: bool, seconds: float) -> float:
    """Take the steps of several runs in a process each, which all start when all are ready."""
    words = [sys.executable, __file__, "--one", "--seconds", str(seconds)]
    workers = [
        subprocess.Popen(
            [*words, *(["--bf16"] if bf16 else [])],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | share,
        )
        for share in shares(runs)
    ]
    try:
        for worker in workers:
            assert worker.stdout is not None
            if not worker.stdout.readline():
                raise RuntimeError(worker.communicate()[1].strip().splitlines()[-1])
        for worker in workers:
            assert worker.stdin is not None
            worker.stdin.write("go\n")
            worker.stdin.flush()
        return sum(float(worker.communicate()[0]) for worker in workers)
    finally:
        for worker in workers:
            worker.kill()
            worker.wait()


WAYS: dict[str, Callable[[int, bool, float], float]] = {
    "processes": in_processes,
    "threads": in_threads,
    "stacked": lambda runs, bf16, seconds: runs * rate(warm(stacked(runs, bf16)), seconds),
}


def report(arguments: argparse.Namespace, records: list[dict[str, Any]]) -> None:
    """Print and write what has been measured so far."""
    alone = records[0].get("steps_per_second", float("nan"))
    headings = ("packed as", "runs", "steps a second, all", "of one alone", "runs per hour")
    rows = []
    for record in records:
        speed = record.get("steps_per_second")
        numbers = (f"failed: {record.get('failed')}", "–", "–")
        if speed is not None:
            hourly = 3600 * speed / arguments.budget
            numbers = (f"{speed:.1f}", f"{speed / alone:.2f}", f"{hourly:.2f}")
        rows.append((record["way"], str(record["runs"]), *numbers))
    print_table(f"ST-DIM on {DEVICE.type}, {arguments.budget} steps a run", headings, rows)
    write_record(
        arguments.out,
        {
            "device": DEVICE.type,
            "cores": cores(),
            "bf16": arguments.bf16,
            "budget": arguments.budget,
            "seconds": arguments.seconds,
            "ways": records,
        },
    )
    write_table(arguments.out, headings, rows)


def main() -> None:
    parser = script_parser(__doc__)
    parser.add_argument(
        "--runs", default="2,4", help="numbers of runs at a time, separated by commas"
    )
    parser.add_argument(
        "--ways", default=",".join(WAYS), help="ways of packing, separated by commas"
    )
    parser.add_argument("--seconds", type=float, default=10, help="seconds that each is timed for")
    parser.add_argument("--bf16", action="store_true", help="train under bfloat16 autocast")
    parser.add_argument("--budget", type=int, default=PAPER, help="optimiser steps of a run")
    parser.add_argument("--one", action="store_true", help="one process's part")
    parser.add_argument("--out", help="file for the record (JSON)")
    arguments = parser.parse_args()
    if arguments.one:
        step = warm(one(0, arguments.bf16))
        print("ready", flush=True)
        if sys.stdin.readline():  # nothing if the others have failed
            print(rate(step, arguments.seconds))
        return
    counts = map(int, arguments.runs.split(","))
    cases = [("processes", 1, "one alone")]
    cases += [(way, runs, way) for runs in counts for way in arguments.ways.split(",")]
    records: list[dict[str, Any]] = []
    for way, runs, name in cases:
        record: dict[str, Any] = {"way": name, "runs": runs}
        try:
            record["steps_per_second"] = WAYS[way](runs, arguments.bf16, arguments.seconds)
        except Exception as error:  # what cannot be packed so is a finding, too
            record["failed"] = f"{type(error).__name__}: {error}".splitlines()[0]
        records.append(record)
        report(arguments, records)


if __name__ == "__main__":
    main()
