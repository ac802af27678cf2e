"""How fast are frames collected, compared with a bare loop over the emulator?

    python benchmarks/collection.py [--out results/benchmarks/collection.json]

The bare loop plays the same game with random actions, fetches screen and RAM once per step of four
emulator frames, and keeps nothing. A collection is everything from the call to the finished file:
starting processes, greyscale, compression, checksums. Variants are interleaved. The time on the
clock is what a user waits. The time on the processors is the cost per core, which other load on the
machine disturbs less. A ratio is the median of the ratios within a round, since the machine's speed
changes between rounds. Two bare loops at once, in processes that have started already, show what a
second core is worth on this machine, since they share its memory and caches.

On a machine whose speed changes from second to second, rounds of half a minute say little. So a
worker's steps are also timed in slices of a few steps, in turn with those of the bare loop, in one
process. These slices leave out starting the worker and writing the file.
"""

from __future__ import annotations

import multiprocessing
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import count, cycle, islice
from pathlib import Path

import numpy as np
from ale_py import ALEInterface, LoggerMode, roms
from record import print_table, script_parser, write_record
from timing import Rounds, in_turn

from lightning_stdim.datamodules.collection import segment_file
from lightning_stdim.datamodules.collection.collect import SEGMENT_ROWS, collect
from lightning_stdim.datamodules.collection.game import play
from lightning_stdim.datamodules.collection.recorder import Recorder
from lightning_stdim.datamodules.collection.seeds import game_seed
from lightning_stdim.datamodules.collection.settings import CollectionSettings
from lightning_stdim.datamodules.emulator.emulator import Emulator
from lightning_stdim.datamodules.policies.random_play import POLICIES

SLICE = 64
"""Steps that are timed at a time."""
BARE, WORKER = "bare emulator loop", "what a worker does"


def playing(game: str) -> Iterator[None]:
    """Play without keeping anything, one step at a time, for ever."""
    ALEInterface.setLoggerMode(LoggerMode.Error)
    ale = ALEInterface()
    ale.setFloat("repeat_action_probability", 0.0)
    path = roms.get_rom_path(game)
    assert path is not None
    ale.loadROM(path)
    meanings = ale.getMinimalActionSet()
    draws = np.random.default_rng(0).integers(1, len(meanings), 100_000).tolist()
    actions = [meanings[a] for a in draws]
    screen = np.empty((210, 160), np.uint8)
    ram = np.empty(128, np.uint8)
    ale.reset_game()
    for action in cycle(actions):
        for _ in range(4):
            ale.act(action)
        ale.getScreen(screen)
        ale.getRAM(ram)
        if ale.game_over():
            ale.reset_game()
        yield


def take(loop: Iterator[None], steps: int) -> None:
    """Take steps."""
    for _ in islice(loop, steps):
        pass


def bare(game: str, steps: int) -> None:
    """Play without keeping anything."""
    take(playing(game), steps)


def working(game: str, folder: Path) -> Iterator[None]:
    """Do what a worker does, one step at a time, for ever."""
    emulator, recorder = Emulator(game), Recorder(SEGMENT_ROWS)
    for number in count():
        played = play(emulator, POLICIES["random"], game_seed(0, number))
        for action, reward in played:
            if recorder.full():
                segment_file.write(folder / "segment", recorder.take())
            recorder.add(emulator, action, reward)
            yield


def in_slices(game: str, steps: int) -> Rounds:
    """Time what a worker does in turn with the bare loop, in one process.

    Returns:
        Processor seconds of as many steps as a worker writes at once.
    """
    rounds = Rounds()
    with tempfile.TemporaryDirectory() as folder:
        loops = {BARE: playing(game), WORKER: working(game, Path(folder))}
        for loop in loops.values():
            next(loop)  # starts it
        variants = {name: partial(take, loop, SLICE) for name, loop in loops.items()}
        for _ in range(max(2, steps // SEGMENT_ROWS)):
            slices = in_turn(
                variants, repeats=SEGMENT_ROWS // SLICE, warm_up=0, clock=time.process_time
            )
            for name, seconds in slices.values.items():
                rounds.add(name, sum(seconds))
    return rounds


def collection(game: str, steps: int, workers: int) -> None:
    with tempfile.TemporaryDirectory() as root:
        settings = CollectionSettings(game, steps=steps)
        collect(settings, workers=workers, root=root, progress=False)


def processor_seconds() -> float:
    """Read the processor time of this process and of its children that have ended."""
    usages = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def main() -> None:
    parser = script_parser(__doc__)
    parser.add_argument("--game", default="pong", help="as ale-py names its ROM")
    parser.add_argument("--steps", type=int, default=100_000, help="steps to collect")
    parser.add_argument("--repeats", type=int, default=3, help="rounds to measure")
    parser.add_argument("--out", help="file for the record (JSON)")
    arguments = parser.parse_args()
    game, steps = arguments.game, arguments.steps
    pool = multiprocessing.get_context("spawn").Pool(2)
    pool.starmap(bare, [(game, 100)] * 2, chunksize=1)  # until both have started
    variants: dict[str, Callable[[], object]] = {
        "bare loop": lambda: bare(game, steps),
        "2 bare loops": lambda: pool.starmap(bare, [(game, steps // 2)] * 2, chunksize=1),
        "1 worker": lambda: collection(game, steps, 1),
        "2 workers": lambda: collection(game, steps, 2),
    }
    clock, processors = Rounds(), Rounds()
    for _ in range(arguments.repeats):
        for name, run in variants.items():
            started, used = time.perf_counter(), processor_seconds()
            run()
            clock.add(name, steps / (time.perf_counter() - started))
            if name != "2 bare loops":  # the pool's processes are counted when they have ended
                processors.add(name, steps / (processor_seconds() - used))
    pool.close()

    rows = []
    for name in variants:
        row = [name]
        for rates in (clock, processors):
            if name in rates.values:
                row += [f"{rates.median(name):.0f}", f"{rates.ratio(name, 'bare loop'):.2f}"]
        rows.append(row)
    print_table(
        f"Collecting {steps} steps of {game}, median of {arguments.repeats}",
        ("what", "steps/s", "to bare", "steps per processor second", "to bare"),
        rows,
    )
    speedup = clock.ratio("2 workers", "1 worker")
    ceiling = clock.ratio("2 bare loops", "bare loop")
    full = clock.ratio("2 workers", "2 bare loops")
    sliced = in_slices(game, steps).ratio(BARE, WORKER)
    print(
        f"two workers are {speedup:.2f} times as fast as one; two bare loops {ceiling:.2f} times; "
        f"with every core in use collecting has {full:.2f} of the bare loops' rate; what a worker "
        f"does, in slices of {SLICE} steps: {sliced:.2f} of the bare loop's rate"
    )
    write_record(
        arguments.out,
        {
            "game": game,
            "steps": steps,
            "repeats": arguments.repeats,
            "steps_per_second": clock.values,
            "steps_per_processor_second": processors.values,
            "one_worker_to_bare": clock.ratio("1 worker", "bare loop"),
            "one_worker_to_bare_per_core": processors.ratio("1 worker", "bare loop"),
            "two_workers_to_one": speedup,
            "two_bare_loops_to_one": ceiling,
            "two_workers_to_two_bare_loops": full,
            "worker_to_bare_in_slices": sliced,
        },
    )


if __name__ == "__main__":
    main()
