"""The command ``train-policy``."""

from __future__ import annotations

import sys
from typing import Literal


def train_policy(
    *,
    game: str = "pong",
    steps: int = 1_000_000,
    seed: int = 0,
    out: str | None = None,
    device: str = "auto",
    precision: Literal["32", "bf16-mixed"] = "32",
    command_line: str = "",
) -> int:
    """Train a PPO agent with Stable-Baselines3. It can then play for collect --policy.

    The same command continues an interrupted training from its last checkpoint; with a larger
    --steps it continues a finished one.

    Args:
        game: name of the game in any spelling, such as pong, MsPacman or ALE/Pong-v5.
        steps: total number of the agent's steps, each of four emulator frames.
        seed: random seed of the games and the initial weights.
        out: directory of the training; by default runs/<game>-ppo-seed<seed>.
        device: where to compute, such as cpu or cuda:1; by default a GPU if there is one.
        precision: numerical precision of the convolutions; bf16-mixed is nearly twice as fast on
            CPUs that support it.
        command_line: the command line of this call, for the record.

    Returns:
        The exit status.
    """
    import torch

    from lightning_stdim.datamodules.labels.games import canonical_game
    from lightning_stdim.datamodules.policies.train_ppo import read_record, train_ppo
    from lightning_stdim.runs.environment import environment
    from lightning_stdim.utils.hardware import slow_bfloat16

    game = canonical_game(game)
    on_cpu = device == "cpu" or (device == "auto" and not torch.cuda.is_available())
    if precision == "bf16-mixed" and on_cpu and (advice := slow_bfloat16("--precision 32")):
        print(f"warning: {advice}", file=sys.stderr)
    path = train_ppo(
        game,
        steps=steps,
        seed=seed,
        out=out or f"runs/{game}-ppo-seed{seed}",
        device=device,
        precision=precision,
        provenance={
            "command": command_line,
            "environment": environment(),
        },
    )
    last = read_record(path)["curve"][-1]
    mean = last["mean_return"]
    outcome = (
        "no game has finished yet"
        if mean is None
        else f"mean return of the last 100 games: {mean:.2f}"
    )
    print(f"{last['steps']} steps, {last['games']} games, {outcome}")
    print(path)
    return 0
