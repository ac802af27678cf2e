"""Does today's emulator do what the paper's did, atari-py 0.2.6 of 2019?

    python studies/emulator_2019.py FOLDER [--out results/emulator-2019/record.json]

FOLDER is `atari_py` in the unpacked source package (`pip download atari-py==0.2.6 --no-deps
--no-binary :all:`), with its library built in place: `cmake .. -DCMAKE_POLICY_VERSION_MINIMUM=3.5`
and `make` in `atari_py/ale_interface/build`. The package has its own ROMs.

The script asks two questions:

* Do the two emulators show the same RAM when they are given the same actions? Both are seeded, but
  each draws the console's state at power-on in its own way, so that games which read that state
  differ from the start.
* Is the emulator the reason why the paper does not list Frostbite's `enemy_x_0` for its random
  agent (docs/games.md)? To find out, both emulators play 50 000 steps as the reference
  implementation does: 8 environments of 6250 steps each.
"""

from __future__ import annotations

import hashlib
import importlib.util
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
from ale_py import ALEInterface, LoggerMode, roms
from record import print_table, script_parser, write_record
from rich.progress import track

from lightning_stdim.datamodules.labels.annotations import annotation
from lightning_stdim.datamodules.labels.games import games

FRAMES = 20_000
ENVIRONMENTS, STEPS, SEEDS = 8, 6_250, 5
GAME, VARIABLE = "frostbite", "enemy_x_0"
SHORT = 64  # frames: the reference leaves out episodes that are not longer


def load_old(folder: Path) -> Any:
    """Import the old package's interface, whose only dependency is Python 2's."""
    six = types.ModuleType("six")
    six.PY3, six.b = True, str.encode  # type: ignore[attr-defined]
    sys.modules.setdefault("six", six)
    spec = importlib.util.spec_from_file_location("old", folder / "ale_python_interface.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.ALEInterface


def rom_of(game: str, folder: Path) -> Path:
    """Find a game's ROM, whose name has underscores, in a folder."""
    return next(path for path in folder.glob("*.bin") if path.stem.replace("_", "") == game)


def emulator(cls: Any, rom: Path, seed: int = 1) -> Any:
    """Start a game without sticky actions."""
    ale = cls()
    stickiness, seeding = "repeat_action_probability", "random_seed"
    if cls is ALEInterface:
        ale.setFloat(stickiness, 0.0)
        ale.setInt(seeding, seed)
    else:  # which has bytes for strings, except for files
        ale.setFloat(stickiness.encode(), 0.0)
        ale.setInt(seeding.encode(), seed)
    ale.loadROM(str(rom))
    return ale


def same_ram(old: Any, new: Any) -> dict[str, Any]:
    """Give both the same actions; count the frames until their RAM differs."""
    actions = [int(action) for action in old.getMinimalActionSet()]
    assert actions == [action.value for action in new.getMinimalActionSet()]
    rng = np.random.default_rng(0)
    rams = np.zeros((2, 128), np.uint8)
    differing: set[int] = set()
    equal, first = 0, None
    action = 0
    for emulated in (old, new):
        emulated.reset_game()
    for frame in range(FRAMES):
        if frame % 4 == 0:
            action = actions[rng.integers(1, len(actions))]
        for emulated, ram in zip((old, new), rams, strict=True):
            emulated.act(action)
            emulated.getRAM(ram)
        different = np.flatnonzero(rams[0] != rams[1]).tolist()
        differing.update(different)
        equal += not different
        first = frame if different and first is None else first
        if old.game_over() or new.game_over():
            for emulated in (old, new):
                emulated.reset_game()
    return {"equal_frames": equal, "first_difference": first, "bytes": sorted(differing)}


def play(ale: Any, steps: int, rng: np.random.Generator) -> tuple[Any, Any]:
    """Play the reference's way: RAM [steps, 128] and every step's episode."""
    actions = [int(getattr(action, "value", action)) for action in ale.getMinimalActionSet()]
    rams, episodes = np.zeros((steps, 128), np.uint8), np.zeros(steps, int)
    ended, lives = True, 0
    for step in range(steps):
        if ended:
            episodes[step:] += step > 0
            if ale.game_over() or step == 0:
                ale.reset_game()
                for _ in range(rng.integers(1, 31)):
                    ale.act(0)
            for action in (1, actions[2]) if 1 in actions else ():
                for _ in range(4):
                    ale.act(action)
            lives = ale.lives()
        ale.getRAM(rams[step])
        action = actions[rng.integers(1, len(actions))]
        for _ in range(4):
            ale.act(action)
        ended = ale.game_over() or 0 < ale.lives() < lives
        lives = ale.lives()
    return rams, episodes


def entropy(values: Any) -> float:
    shares = np.unique(values, return_counts=True)[1] / len(values)
    return float(-(shares * np.log(shares)).sum())


def entropies(cls: Any, rom: Path, seed: int) -> dict[str, float]:
    """Entropy of the variable over all frames, and without the short episodes."""
    labels = annotation(GAME, "paper")
    column = labels.variables.index(VARIABLE)
    all_values, kept = [], []
    for k in range(ENVIRONMENTS):
        rng = np.random.default_rng((seed, k))
        rams, episodes = play(emulator(cls, rom, 1 + seed * ENVIRONMENTS + k), STEPS, rng)
        values = labels.decode(rams)[:, column]
        all_values.append(values)
        kept.append(values[np.bincount(episodes)[episodes] > SHORT])
    return {
        "all_frames": entropy(np.concatenate(all_values)),
        "long_episodes": entropy(np.concatenate(kept)),
    }


def main() -> None:
    parser = script_parser(__doc__)
    parser.add_argument("folder", type=Path, help="`atari_py` of the built source package")
    parser.add_argument("--out", help="file for the record (JSON)")
    arguments = parser.parse_args()
    ALEInterface.setLoggerMode(LoggerMode.Error)
    old_class = load_old(arguments.folder)
    compared: dict[str, Any] = {}
    for game in track(games("upstream"), "same actions"):
        old_rom = rom_of(game, arguments.folder / "atari_roms")
        new_rom = rom_of(game, Path(roms.__file__).parent)
        digests = [hashlib.sha256(rom.read_bytes()).hexdigest() for rom in (old_rom, new_rom)]
        found = same_ram(emulator(old_class, old_rom), emulator(ALEInterface, new_rom))
        compared[game] = {"same_rom": digests[0] == digests[1], **found}
    found = {
        name: [entropies(cls, rom_of(GAME, folder), seed) for seed in range(SEEDS)]
        for name, cls, folder in (
            ("atari-py 0.2.6", old_class, arguments.folder / "atari_roms"),
            ("ale-py", ALEInterface, Path(roms.__file__).parent),
        )
    }
    print_table(
        f"The same actions for {FRAMES} frames, atari-py 0.2.6 and ale-py",
        ("game", "same ROM", "frames with equal RAM", "first difference"),
        [
            (
                game,
                "yes" if row["same_rom"] else "no",
                str(row["equal_frames"]),
                "none" if row["first_difference"] is None else str(row["first_difference"]),
            )
            for game, row in compared.items()
        ],
    )
    for name, rows in found.items():
        print(f"{GAME} {VARIABLE}, {name}:", *(f"{row['long_episodes']:.2f}" for row in rows))
    write_record(
        arguments.out,
        {"frames": FRAMES, "games": compared, f"{GAME} {VARIABLE}, entropy in nats": found},
    )


if __name__ == "__main__":
    main()
