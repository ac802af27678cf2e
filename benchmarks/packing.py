"""How many runs fit on one device: several at a time, and which way of packing them is best.

    python benchmarks/packing.py [--runs 1,2,4] [--out results/benchmarks/packing.json]

ST-DIM's training steps, as many as several seeds take in a time, in three ways:

* ``processes``: a process for each, as `benchmark --jobs N` has it; on a CPU the cores are divided
  between them;
* ``threads``: all in one process, a thread for each and on a GPU a stream;
* ``stacked``: the seeds' weights stacked, one step for all through ``torch.func``, each seed on
  frames of its own.

Whatever runs is at work before the clock starts. Runs per hour are those of a budget of optimiser
steps: by default the paper's, 100 epochs of 100 000 frames.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import torch
from record import print_table, write_record, write_table
from torch import Tensor
from torch.func import functional_call, grad, stack_module_state, vmap
from workload import frame_pool, pairs, training_step

from lightning_stdim.datamodules.batches import SequenceBatch
from lightning_stdim.methods import STDIM

BATCH = 64
PAPER = 100 * 100_000 // BATCH
"""Optimiser steps of the paper's budget."""


def device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def precision(bf16: bool) -> Any:
    return torch.autocast(device().type, torch.bfloat16) if bf16 else nullcontext()


def one(seed: int, bf16: bool) -> Callable[[], None]:
    """Give the step of one run."""
    torch.manual_seed(seed)
    method = STDIM().to(device())
    batch = pairs(BATCH, device())

    def loss() -> Tensor:
        with precision(bf16):
            return method.loss(batch)["loss"]

    return training_step(method, loss)


def contiguous(method: STDIM) -> STDIM:
    """Leave out the memory format, of which vmap knows nothing."""
    encoder: Any = method.encoder
    encoder.local_map = lambda frames: encoder.local_layers(frames.float().mul_(1 / 255))
    encoder.to(memory_format=torch.contiguous_format)
    return method


def stacked(runs: int, bf16: bool) -> Callable[[], None]:
    """Give one step of several runs at once."""
    methods = []
    for seed in range(runs):
        torch.manual_seed(seed)
        methods.append(contiguous(STDIM()).to(device()))
    weights, _ = stack_module_state(methods)  # type: ignore[arg-type]
    parameters = {name: weight.detach().requires_grad_() for name, weight in weights.items()}
    frames = frame_pool(2 * BATCH * runs).view(runs, 2, BATCH, 1, 210, 160).to(device())
    anchors = torch.arange(BATCH, device=device())
    optimizer = torch.optim.Adam(parameters.values(), lr=3e-4, eps=1e-5, fused=True)

    class Loss(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.method = methods[0]

        def forward(self, frames: Tensor) -> Tensor:
            return self.method.loss(SequenceBatch(frames, anchors))["loss"]

    skeleton = Loss()

    def loss(weights: dict[str, Tensor], frames: Tensor) -> Tensor:
        named = {f"method.{name}": weight for name, weight in weights.items()}
        value: Tensor = functional_call(skeleton, named, (frames,))
        return value

    gradients = vmap(grad(loss))

    def step() -> None:
        with precision(bf16):
            found = gradients({name: p.detach() for name, p in parameters.items()}, frames)
        for name, parameter in parameters.items():
            parameter.grad = found[name]
        optimizer.step()

    return step


def synchronize() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def rate(step: Callable[[], None], seconds: float) -> float:
    """Count steps a second, the first ones left out."""
    for _ in range(3):
        step()
    synchronize()
    started, count = time.perf_counter(), 0
    while time.perf_counter() - started < seconds:
        step()
        count += 1
        if count % 50 == 0:
            synchronize()  # or the queue of what was launched would count as done
    synchronize()
    return count / (time.perf_counter() - started)


def in_threads(runs: int, bf16: bool, seconds: float) -> float:
    """Take the steps of several runs in a thread each."""
    rates: list[float] = []
    ready = threading.Barrier(runs)

    def work(seed: int) -> None:
        with torch.cuda.stream(torch.cuda.Stream()) if torch.cuda.is_available() else nullcontext():
            step = one(seed, bf16)
            step()
            ready.wait()
            rates.append(rate(step, seconds))

    workers = [threading.Thread(target=work, args=(seed,)) for seed in range(runs)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    if len(rates) < runs:
        raise RuntimeError("a thread failed")
    return sum(rates)


def in_processes(runs: int, bf16: bool, seconds: float) -> float:
    """Take the steps of several runs in a process each, which all start when all are ready."""
    words = [sys.executable, __file__, "--one", "--seconds", str(seconds)]
    threads = str(max(1, len(os.sched_getaffinity(0)) // runs))
    workers = [
        subprocess.Popen(
            [*words, *(["--bf16"] if bf16 else [])],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": threads},
        )
        for _ in range(runs)
    ]
    for worker in workers:
        assert worker.stdout is not None
        worker.stdout.readline()
    for worker in workers:
        assert worker.stdin is not None
        worker.stdin.write("go\n")
        worker.stdin.flush()
    return sum(float(worker.communicate()[0]) for worker in workers)


WAYS: dict[str, Callable[[int, bool, float], float]] = {
    "processes": in_processes,
    "threads": in_threads,
    "stacked": lambda runs, bf16, seconds: runs * rate(stacked(runs, bf16), seconds),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", default="1,2,4", help="at a time, separated by commas")
    parser.add_argument("--ways", default=",".join(WAYS))
    parser.add_argument("--seconds", type=float, default=10, help="that each is timed for")
    parser.add_argument("--bf16", action="store_true", help="under bfloat16 autocast")
    parser.add_argument("--budget", type=int, default=PAPER, help="optimiser steps of a run")
    parser.add_argument("--one", action="store_true", help="one process's part")
    parser.add_argument("--out")
    arguments = parser.parse_args()
    bf16, seconds = arguments.bf16, arguments.seconds
    if arguments.one:
        step = one(0, bf16)
        step()
        print("ready", flush=True)
        sys.stdin.readline()
        print(rate(step, seconds))
        return
    records: list[dict[str, Any]] = []
    for runs in map(int, arguments.runs.split(",")):
        for way in arguments.ways.split(","):
            if runs == 1 and way != "processes":
                continue
            try:
                found = {"steps_per_second": WAYS[way](runs, bf16, seconds)}
            except Exception as error:  # what cannot be packed so is a finding, too
                found = {"failed": str(error).splitlines()[0]}
            records.append({"way": way, "runs": runs, **found})
            print(json.dumps(records[-1]), flush=True)
    alone = records[0].get("steps_per_second", float("nan"))
    headings = (
        "packed as",
        "runs at a time",
        "steps a second, all",
        "of one alone",
        "runs per hour",
    )
    rows = [
        (
            record["way"] if record["runs"] > 1 else "one alone",
            str(record["runs"]),
            *(
                (f"{speed:.1f}", f"{speed / alone:.2f}", f"{3600 * speed / arguments.budget:.2f}")
                if (speed := record.get("steps_per_second"))
                else (f"failed: {record['failed']}", "–", "–")
            ),
        )
        for record in records
    ]
    print_table(f"ST-DIM on {device().type}, {arguments.budget} steps a run", headings, rows)
    write_record(
        arguments.out,
        {
            "device": device().type,
            "bf16": bf16,
            "budget": arguments.budget,
            "seconds": seconds,
            "ways": records,
        },
    )
    write_table(arguments.out, headings, rows)


if __name__ == "__main__":
    main()
