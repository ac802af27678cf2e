"""Would envpool collect faster than our workers, and does it show the same RAM?

    pip install envpool && python benchmarks/envpool_backend.py --out FILE

Measures processor time with one thread, in one run: the bare loop over ``ALEInterface``, our
worker's loop (emulator, luma, recording), and envpool with the same wrappers.

``make benchmarks`` leaves it out: it needs envpool, which is not a dependency.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import envpool
import numpy as np
from ale_py import ALEInterface, roms
from collection import bare
from record import print_table, script_parser, write_record
from timing import in_turn

from lightning_stdim.datamodules.collection.game import segments
from lightning_stdim.datamodules.collection.recorder import Recorder, frames
from lightning_stdim.datamodules.emulator.emulator import Emulator
from lightning_stdim.datamodules.policies.random_play import POLICIES

GAME, ENVPOOL_ID = "pong", "Pong-v5"
ENVIRONMENTS = 8


def ours(steps: int) -> None:
    emulator, recorder, game = Emulator(GAME), Recorder(1024), 0
    while steps > 0:
        played = segments(emulator, POLICIES["random"], game, limit=steps, recorder=recorder)
        for columns, _ in played:
            steps -= sum(1 for _ in frames(columns, "luma"))
        game += 1


def environments(number: int) -> envpool.python.protocol.EnvPool:
    return envpool.make(
        ENVPOOL_ID,
        env_type="gymnasium",
        num_envs=number,
        num_threads=1,
        seed=0,
        noop_max=1,
        frame_skip=4,
        stack_num=1,
        img_height=210,
        img_width=160,
        gray_scale=True,
        repeat_action_probability=0.0,
        full_action_space=False,
    )


def pooled(steps: int) -> None:
    env = environments(ENVIRONMENTS)
    env.reset()
    actions = np.random.default_rng(0).integers(1, 6, (steps // ENVIRONMENTS, ENVIRONMENTS))
    for action in actions.astype(np.int32):
        env.step(action)


def same_ram(steps: int) -> int:
    """Count the steps after which envpool's RAM is the emulator's, of a game not yet over."""
    env, ale = environments(1), ALEInterface()
    ale.setFloat("repeat_action_probability", 0.0)
    path = roms.get_rom_path(GAME)
    assert path is not None
    ale.loadROM(path)
    env.reset()
    ale.act(0)  # noop_max=1
    actions = ale.getMinimalActionSet()
    equal = 0
    for action in np.random.default_rng(1).integers(1, 6, steps):
        _, _, _, _, info = env.step(np.array([action], np.int32))
        for _ in range(4):
            ale.act(actions[action])
        equal += int(np.array_equal(info["ram"][0], ale.getRAM()))
    return equal


def main() -> None:
    parser = script_parser(__doc__)
    parser.add_argument("--steps", type=int, default=10_000, help="steps to play")
    parser.add_argument("--repeats", type=int, default=3, help="rounds to measure")
    parser.add_argument("--out", help="file for the record (JSON)")
    arguments = parser.parse_args()
    steps = arguments.steps
    variants: dict[str, Callable[[], None]] = {
        "bare loop": lambda: bare(GAME, steps),
        "our worker": lambda: ours(steps),
        "envpool": lambda: pooled(steps),
    }
    rounds = in_turn(variants, repeats=arguments.repeats, warm_up=0, clock=time.process_time)
    to_bare = {name: rounds.ratio("bare loop", name) for name in variants}
    print_table(
        f"{steps} steps of {GAME}, median of {arguments.repeats}",
        ("what", "steps per processor second", "to bare"),
        [(n, f"{steps / rounds.median(n):.0f}", f"{ratio:.2f}") for n, ratio in to_bare.items()],
    )
    checked = 500
    equal = same_ram(checked)
    print(f"the same RAM after {equal} of {checked} steps")
    write_record(
        arguments.out,
        {
            "game": GAME,
            "envpool": envpool.__version__,
            "steps": steps,
            "processor_seconds": rounds.values,
            "to_bare": to_bare,
            "ram_steps_checked": checked,
            "ram_steps_equal": equal,
        },
    )


if __name__ == "__main__":
    main()
