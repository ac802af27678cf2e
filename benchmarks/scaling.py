"""How many samples a second does ST-DIM process over several ranks, and what does gathering cost?

    python benchmarks/scaling.py [--ranks 1,2] [--out results/benchmarks/scaling.json]

Every rank is a process: on a CPU with one thread, over gloo; with a GPU each, over NCCL. The ranks
first share one global batch, and then have a batch of that size each. In the second case every
sample has more negatives, and the number of scores grows with the square of the global batch.
Gathering the negatives is also timed by itself.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import torch
import torch.distributed as dist
from record import print_table, script_parser, write_record, write_table
from timing import in_turn
from torch.multiprocessing.spawn import spawn
from torch.nn.parallel import DistributedDataParallel
from workload import Loss, pairs, training_step

from lightning_stdim.methods import STDIM
from lightning_stdim.objectives import gather_rows
from lightning_stdim.utils.hardware import cores

BATCH = 64


def run(rank: int, world: int, batch_size: int, repeats: int, folder: str) -> None:
    """Time steps, and gathering alone, on one of several ranks."""
    gpus = torch.cuda.device_count() >= world
    torch.set_num_threads(1)
    device = torch.device("cuda", rank) if gpus else torch.device("cpu")
    dist.init_process_group(
        "nccl" if gpus else "gloo", f"file://{folder}/meeting", rank=rank, world_size=world
    )
    torch.manual_seed(0)
    method = STDIM().to(device)
    loss = DistributedDataParallel(Loss(method)) if world > 1 else Loss(method)
    batch = pairs(batch_size, device)
    local = torch.randn(batch_size, 128, 11, 8, device=device, requires_grad=True)

    def gather() -> None:  # the past frames' local maps, once for both terms
        gather_rows(local).sum().backward()

    step = training_step(method, lambda: loss(batch))
    rounds = in_turn({"step": step, "gather": gather}, repeats=repeats, warm_up=3)
    if rank == 0:
        seconds = {name: rounds.median(name) for name in rounds.values}
        Path(folder, "seconds.json").write_text(json.dumps(seconds))
    dist.barrier()
    dist.destroy_process_group()


def measure(world: int, batch_size: int, repeats: int) -> dict[str, float]:
    """Start the ranks and wait for what the first of them measured."""
    with tempfile.TemporaryDirectory() as folder:
        spawn(run, (world, batch_size, repeats, folder), nprocs=world)
        found: dict[str, float] = json.loads(Path(folder, "seconds.json").read_text())
    return found


def main() -> None:
    parser = script_parser(__doc__)
    default = "1,2" if cores() < 4 else "1,2,4"
    parser.add_argument("--ranks", default=default, help="numbers of ranks, separated by commas")
    parser.add_argument("--steps", type=int, default=10, help="training steps to time")
    parser.add_argument("--rounds", type=int, default=3, help="times that the ranks are started")
    parser.add_argument("--out", help="file for the record (JSON)")
    arguments = parser.parse_args()
    counts = [int(word) for word in arguments.ranks.split(",")]
    cases = [
        (name, world, size)
        for name, share in (("one global batch", True), ("one batch per rank", False))
        for world in counts
        for size in (BATCH // world if share else BATCH,)
    ]
    best: dict[tuple[str, int], dict[str, float]] = {}
    for _ in range(arguments.rounds):
        for name, world, size in cases:
            found = measure(world, size, arguments.steps)
            known = best.setdefault((name, world), found)
            if found["step"] < known["step"]:
                best[name, world] = found
    headings = ("what stays", "ranks", "samples per second", "of the first", "gathering")
    rows, records = [], []
    first: dict[str, float] = {}
    for name, world, size in cases:
        step, gather = (best[name, world][key] for key in ("step", "gather"))
        speed = world * size / step
        ratio = speed / first.setdefault(name, speed)
        share = gather / step if world > 1 else 0.0
        rows.append((name, str(world), f"{speed:.0f}", f"{ratio:.2f}", f"{share:.1%}"))
        records.append(
            {"case": name, "ranks": world, "per_rank": size, "step": step, "gather": gather}
        )
    print_table("ST-DIM over several ranks", headings, rows)
    write_record(arguments.out, {"cases": records})
    write_table(arguments.out, headings, rows)


if __name__ == "__main__":
    main()
