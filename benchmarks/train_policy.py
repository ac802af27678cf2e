"""What bfloat16 saves in training an agent: `train-policy --precision bf16-mixed`.

    OMP_NUM_THREADS=1 python benchmarks/train_policy.py \
        [--out results/benchmarks/train_policy.json]

Both models play and learn in turn, one rollout at a time, in processor time: other load on the
machine disturbs that less than the clock.
"""

from __future__ import annotations

import argparse
import statistics
import time
from typing import get_args

import torch
from record import print_table, write_record

from lightning_stdim.ppo import SETTINGS, Precision, build_model

ROLLOUT = SETTINGS["n_envs"] * SETTINGS["n_steps"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--game", default="pong")
    parser.add_argument("--repeats", type=int, default=8)
    parser.add_argument("--out")
    arguments = parser.parse_args()
    models = {
        precision: build_model(arguments.game, seed=0, device="cpu", precision=precision)
        for precision in get_args(Precision)
    }
    seconds: dict[str, list[float]] = {precision: [] for precision in models}
    for repeat in range(arguments.repeats + 1):
        for precision, model in models.items():
            used = time.process_time()
            model.learn(ROLLOUT, reset_num_timesteps=False)
            if repeat:  # the first ones allocate and tune
                seconds[precision].append(time.process_time() - used)
    medians = {precision: statistics.median(taken) for precision, taken in seconds.items()}
    threads = torch.get_num_threads()
    print_table(
        f"{ROLLOUT} steps of {arguments.game}, {threads} threads, median of {arguments.repeats}",
        ("precision", "processor seconds", "ratio to 32"),
        [(name, f"{m:.2f}", f"{m / medians['32']:.2f}") for name, m in medians.items()],
    )
    write_record(
        arguments.out,
        {
            "game": arguments.game,
            "threads": threads,
            "steps": ROLLOUT,
            "processor_seconds": seconds,
            "bf16_to_32": medians["bf16-mixed"] / medians["32"],
        },
    )


if __name__ == "__main__":
    main()
