"""What makes a training step cheaper without changing what it computes?

    python benchmarks/attempts.py [--out results/benchmarks/attempts.json]

Times ST-DIM's step on a batch of 64 pairs, as it is and with one thing changed at a time. Every
attempt runs in a process of its own, since some attempts are settings of a process. A second
process takes the step as it is, or as another attempt has it. The two take steps in turn, and a
ratio is that of two neighbouring steps.

``make benchmarks`` leaves it out: it takes many minutes.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from record import print_table, script_parser, write_record, write_table
from timing import Rounds, rate, warm
from torch import Tensor, nn
from workload import contiguous, pairs, training_step

from lightning_stdim.encoders.layers import BlockConv2d
from lightning_stdim.methods import STDIM
from lightning_stdim.torch_environment import SETTINGS

BATCH = 64
BURST = 0.2
"""Seconds of steps at a time, at least one: a GPU's take so little that asking would count."""
ANSWER = "seconds:"
AS_IT_IS = "as it is"
SMALL_PAGES = {"THP_MEM_ALLOC_ENABLE": "0"}
SPIN = {"GOMP_SPINCOUNT": "300000"}  # where nothing is said
KEEP = {
    "MALLOC_MMAP_THRESHOLD_": "2000000000",
    "MALLOC_TRIM_THRESHOLD_": "4000000000",
    "MALLOC_TOP_PAD_": "100000000",
}


def on_blocks(method: STDIM) -> None:
    first: Any = method.encoder.local_layers[0]
    first.forward = first.over_blocks


def second_on_blocks(method: STDIM) -> None:
    second: Any = method.encoder.local_layers[2]
    second.forward = partial(BlockConv2d.over_blocks, second)


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
        environment: variables of the process, beside those that the command line sets.
        change: of the method.
        autocast: compute in bfloat16 what may be.
        beside: the attempt that it is held against.
    """

    environment: dict[str, str] = field(default_factory=dict)
    change: Callable[[STDIM], None] = lambda method: None
    autocast: bool = False
    beside: str = AS_IT_IS


ATTEMPTS = {
    AS_IT_IS: Attempt(),
    "without large pages": Attempt(SMALL_PAGES),
    "threads that spin while they wait": Attempt(SPIN),
    "memory kept by the allocator": Attempt(KEEP),
    "threads bound to cores": Attempt({"OMP_PROC_BIND": "true"}),
    "contiguous frames, not channels last": Attempt(
        change=lambda method: contiguous(method.encoder)
    ),
    "first convolution over blocks of pixels": Attempt(change=on_blocks),
    "second convolution over blocks": Attempt(change=second_on_blocks),
    "denormal numbers to zero": Attempt(change=no_denormals),
    "torch.compile": Attempt(change=compiled),
    "Adam not fused": Attempt(change=adam_not_fused),
    "bfloat16": Attempt(autocast=True),
    "bfloat16, first convolution over pixels": Attempt(
        autocast=True, change=on_pixels, beside="bfloat16"
    ),
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


def serve(attempt: Attempt) -> None:
    """Take steps whenever a line asks for them, and answer with the seconds of one."""
    torch.manual_seed(0)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    batch = pairs(BATCH, device)
    method = STDIM().to(device)
    attempt.change(method)
    precision = torch.autocast(device.type, torch.bfloat16) if attempt.autocast else nullcontext()

    def loss() -> Tensor:
        with precision:
            return method.loss(batch)["loss"]

    step = warm(training_step(method, loss))
    for _ in sys.stdin:
        step()  # the other process has used the caches
        print(ANSWER, 1 / rate(step, BURST), flush=True)


@contextmanager
def server(name: str) -> Iterator[Callable[[], float]]:
    """Start a process that serves an attempt.

    Yields:
        What asks it to take steps and gives the seconds of one; a RuntimeError says what failed.
    """
    known = {*KEEP, "OMP_PROC_BIND", "OMP_WAIT_POLICY"}
    environment = {key: value for key, value in os.environ.items() if key not in known}
    with tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen(
            [sys.executable, __file__, "--serve", name],
            env=environment | SETTINGS | ATTEMPTS[name].environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
        asking, answering = process.stdin, process.stdout
        assert asking is not None
        assert answering is not None

        def ask() -> float:
            with suppress(BrokenPipeError):  # its errors say more
                asking.write("\n")
                asking.flush()
            for line in answering:  # among whatever else a library prints
                if line.startswith(ANSWER):
                    return float(line.split()[-1])
            process.wait()
            errors.seek(0)
            said = errors.read().strip() or f"status {process.returncode}"
            raise RuntimeError(said.splitlines()[-1])

        try:
            yield ask
        finally:
            process.kill()
            process.wait()
            answering.close()
            with suppress(BrokenPipeError):
                asking.close()


def measure(name: str, repeats: int) -> Rounds:
    """Measure an attempt in turn with what it is held against."""
    rounds, beside = Rounds(), ATTEMPTS[name].beside
    with server(beside) as unchanged, server(name) as changed:
        for repeat in range(repeats + 1):
            for which, ask in ((beside, unchanged), (name, changed)):
                seconds = ask()
                if repeat:
                    rounds.add(which, seconds)
    return rounds


def report(out: str | None, measured: dict[str, Rounds], failed: dict[str, str]) -> None:
    """Print and write what has been measured so far."""
    headings = ("attempt", "beside", "step ms", "ratio", "lower", "upper")
    quartiles = {
        name: rounds.quartiles(name, ATTEMPTS[name].beside) for name, rounds in measured.items()
    }
    rows = [
        (
            name,
            ATTEMPTS[name].beside,
            f"{1e3 * measured[name].median(name):.3g}",
            *(f"{ratio:.2f}" for ratio in (middle, lower, upper)),
        )
        for name, (lower, middle, upper) in quartiles.items()
    ]
    rows += [
        (name, ATTEMPTS[name].beside, f"failed: {reason}", "–", "–", "–")
        for name, reason in failed.items()
    ]
    print_table("ST-DIM's step, medians and quartiles", headings, rows)
    write_record(
        out,
        {
            "threads": torch.get_num_threads(),
            "seconds": {name: rounds.values for name, rounds in measured.items()},
            "quartiles_of_ratios": quartiles,
            "failed": failed,
        },
    )
    write_table(out, headings, rows)


def main() -> None:
    parser = script_parser(__doc__)
    parser.add_argument("names", nargs="*", metavar="name", help="attempts; all by default")
    parser.add_argument("--repeats", type=int, default=15, help="rounds to measure")
    parser.add_argument("--serve", choices=ATTEMPTS, help="one attempt, in this process")
    parser.add_argument("--out", help="file for the record (JSON)")
    arguments = parser.parse_args()
    if arguments.serve:
        serve(ATTEMPTS[arguments.serve])
        return
    measured: dict[str, Rounds] = {}
    failed: dict[str, str] = {}
    if unknown := set(arguments.names) - set(ATTEMPTS):
        parser.error(f"no attempt {', '.join(unknown)}: choose from {', '.join(ATTEMPTS)}")
    for name in arguments.names or ATTEMPTS:
        if name == AS_IT_IS:
            continue
        try:
            measured[name] = measure(name, arguments.repeats)
        except RuntimeError as error:  # a finding, too
            failed[name] = str(error)
        report(arguments.out, measured, failed)


if __name__ == "__main__":
    main()
