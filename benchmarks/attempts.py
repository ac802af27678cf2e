"""What was tried to make a training step cheaper without changing what it computes.

    python benchmarks/attempts.py [--out results/benchmarks/attempts.json]

ST-DIM's step on a batch of 64 pairs, as it is and with one thing changed at a time. Every attempt
runs in a process of its own, since some are settings of one, and all in turn, again and again.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from record import print_table, write_record, write_table
from timing import Rounds, in_turn
from torch import Tensor, nn
from workload import contiguous, pairs, training_step

from lightning_stdim.methods import STDIM

BATCH = 64
LARGE_PAGES = {"THP_MEM_ALLOC_ENABLE": "1"}  # as the command line sets it
KEEP = {
    "MALLOC_MMAP_THRESHOLD_": "2000000000",
    "MALLOC_TRIM_THRESHOLD_": "4000000000",
    "MALLOC_TOP_PAD_": "100000000",
}


def on_blocks(method: STDIM) -> None:
    first: Any = method.encoder.local_layers[0]
    first.forward = first.over_blocks


def on_pixels(method: STDIM) -> None:
    first: Any = method.encoder.local_layers[0]
    first.forward = partial(nn.Conv2d.forward, first)


def compiled(method: STDIM, **how: str) -> None:
    changed: Any = method
    changed.loss = torch.compile(method.loss, **how)  # type: ignore[call-overload]


def no_denormals(method: STDIM) -> None:
    torch.set_flush_denormal(True)


def adam_not_fused(method: STDIM) -> None:
    changed: Any = method
    changed.configure_optimizers = lambda: torch.optim.Adam(
        method.parameters(), lr=method.lr, eps=method.eps
    )


@dataclass(frozen=True)
class Attempt:
    """One change.

    Attributes:
        environment: variables of the process.
        change: of the method.
        autocast: compute in bfloat16 what may be.
    """

    environment: dict[str, str] = field(default_factory=lambda: LARGE_PAGES)
    change: Callable[[STDIM], None] = lambda method: None
    autocast: bool = False


ATTEMPTS = {
    "as it is": Attempt(),
    "without large pages": Attempt({}),
    "memory kept by the allocator": Attempt(LARGE_PAGES | KEEP),
    "threads bound to cores": Attempt(LARGE_PAGES | {"OMP_PROC_BIND": "true"}),
    "contiguous frames, not channels last": Attempt(
        change=lambda method: contiguous(method.encoder)
    ),
    "first convolution over blocks of pixels": Attempt(change=on_blocks),
    "denormal numbers to zero": Attempt(change=no_denormals),
    "torch.compile": Attempt(change=compiled),
    "Adam not fused": Attempt(change=adam_not_fused),
    "bfloat16": Attempt(autocast=True),
    "bfloat16, first convolution over pixels": Attempt(autocast=True, change=on_pixels),
    "bfloat16, torch.compile": Attempt(autocast=True, change=compiled),
}
if torch.cuda.is_available():
    graphs = partial(compiled, backend="cudagraphs")
    both = partial(compiled, mode="reduce-overhead")
    ATTEMPTS |= {
        "CUDA graphs": Attempt(change=graphs),
        "torch.compile and CUDA graphs": Attempt(change=both),
        "bfloat16, CUDA graphs": Attempt(autocast=True, change=graphs),
        "bfloat16, torch.compile and CUDA graphs": Attempt(autocast=True, change=both),
    }


def run(attempt: Attempt, steps: int) -> float:
    """Time steps in this process."""
    torch.manual_seed(0)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    batch = pairs(BATCH, device)
    method = STDIM().to(device)
    attempt.change(method)
    precision = torch.autocast(device.type, torch.bfloat16) if attempt.autocast else nullcontext()

    def loss() -> Tensor:
        with precision:
            return method.loss(batch)["loss"]

    return in_turn({"step": training_step(method, loss)}, repeats=steps, warm_up=3).median("step")


def report(out: str | None, rounds: Rounds, failed: dict[str, str]) -> None:
    """Print and write what has been measured so far."""
    ratios = {name: rounds.ratios(name, "as it is") for name in rounds.values if name not in failed}
    headings = ("attempt", "step ms", "of the step as it is", "lowest", "highest")
    rows = [
        (
            name,
            f"{1e3 * rounds.median(name):.0f}",
            *(f"{r:.2f}" for r in (statistics.median(found), min(found), max(found))),
        )
        for name, found in ratios.items()
    ]
    rows += [(name, f"failed: {reason}", "–", "–", "–") for name, reason in failed.items()]
    print_table(
        f"ST-DIM's step, medians of {len(rounds.values['as it is'])} rounds", headings, rows
    )
    write_record(
        out,
        {
            "threads": torch.get_num_threads(),
            "seconds": rounds.values,
            "ratios": {name: statistics.median(found) for name, found in ratios.items()},
            "failed": failed,
        },
    )
    write_table(out, headings, rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--run", choices=ATTEMPTS, help="one attempt, in this process")
    parser.add_argument("--out")
    arguments = parser.parse_args()
    if arguments.run:
        print(run(ATTEMPTS[arguments.run], arguments.steps))
        return
    rounds = Rounds()
    failed: dict[str, str] = {}
    for _ in range(arguments.repeats):
        for name, attempt in ATTEMPTS.items():
            words = [sys.executable, __file__, "--run", name, "--steps", str(arguments.steps)]
            known = {*LARGE_PAGES, *KEEP, "OMP_PROC_BIND"}
            environment = {key: value for key, value in os.environ.items() if key not in known}
            done = subprocess.run(
                words, env=environment | attempt.environment, capture_output=True, text=True
            )
            if done.returncode:
                said = done.stderr.strip() or f"status {done.returncode}"
                failed[name] = said.splitlines()[-1]
            else:
                rounds.add(name, float(done.stdout.split()[-1]))
        report(arguments.out, rounds, failed)


if __name__ == "__main__":
    main()
