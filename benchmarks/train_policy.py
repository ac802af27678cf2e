"""What does bfloat16 save in training an agent, `train-policy --precision bf16-mixed`?

    OMP_NUM_THREADS=1 python benchmarks/train_policy.py \
        [--out results/benchmarks/train_policy.json]

Two models, in bfloat16 and in float32, play and learn in turn, one rollout at a time. The times are
processor times, which other load on the machine disturbs less than the clock.
"""

from __future__ import annotations

import time
from functools import partial
from typing import get_args

import torch
from record import print_table, script_parser, write_record
from timing import in_turn

from lightning_stdim.datamodules.policies.train_ppo import SETTINGS, Precision, build_model

ROLLOUT = SETTINGS["n_envs"] * SETTINGS["n_steps"]


def main() -> None:
    parser = script_parser(__doc__)
    parser.add_argument("--game", default="pong", help="game to play")
    parser.add_argument("--repeats", type=int, default=8, help="rounds to measure")
    parser.add_argument("--out", help="file for the record (JSON)")
    arguments = parser.parse_args()
    variants = {
        precision: partial(
            build_model(arguments.game, seed=0, device="cpu", precision=precision).learn,
            ROLLOUT,
            reset_num_timesteps=False,
        )
        for precision in get_args(Precision)
    }
    rounds = in_turn(variants, repeats=arguments.repeats, warm_up=1, clock=time.process_time)
    threads = torch.get_num_threads()
    print_table(
        f"{ROLLOUT} steps of {arguments.game}, {threads} threads, median of {arguments.repeats}",
        ("precision", "processor seconds", "ratio to 32"),
        [(p, f"{rounds.median(p):.2f}", f"{rounds.ratio(p, '32'):.2f}") for p in variants],
    )
    write_record(
        arguments.out,
        {
            "game": arguments.game,
            "threads": threads,
            "steps": ROLLOUT,
            "processor_seconds": rounds.values,
            "bf16_to_32": rounds.ratio("bf16-mixed", "32"),
        },
    )


if __name__ == "__main__":
    main()
