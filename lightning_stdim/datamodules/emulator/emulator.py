"""An Atari 2600 game with the paper's wrappers, written out on top of ale-py's ``ALEInterface``.

The semantics are those of ``{Game}NoFrameskip-v4`` in the reference implementation's stack of
wrappers (the one of OpenAI Baselines), innermost first:

* no sticky actions, the minimal action set, 108 000 emulator frames a game at most;
* ``NoopReset``: a new game begins with 1 to 30 single-frame no-ops;
* ``MaxAndSkip``: an action is repeated for four emulator frames (fewer if the game ends there), and
  the observation is the pixel-wise maximum of the last two screens;
* ``EpisodicLife``: a lost life ends an episode, the next one goes on in the same game after one
  NOOP step; a game over ends the game;
* ``FireReset``, where the game has FIRE: an episode begins with the actions 1 (FIRE) and 2, each
  for one step. The observation that an episode begins with is the one after them.

Other environments (:mod:`environments`) leave out FireReset, or have the dynamics of ``{Game}-v0``
inside: what is called a frame of NoopReset and MaxAndSkip above is then a step that lasts for two
to four emulator frames, each of which may repeat the action before it.

Two errors of those wrappers are not repeated. When a game ends within a step, the maximum is taken
over the last two screens of the game, not over leftovers of the step before. And when a life is
lost while an episode is being started, its first observation is the current one, not the one before
the loss.
"""

from __future__ import annotations

import hashlib
from typing import Any

import ale_py
import numpy as np
from ale_py import ALEInterface, LoggerMode, roms
from numpy.typing import NDArray

from lightning_stdim.datamodules.emulator.environments import Environment, dynamics
from lightning_stdim.datamodules.emulator.palette import PALETTE, maximum
from lightning_stdim.datamodules.labels.games import canonical_game
from lightning_stdim.datamodules.pixels import Pixels
from lightning_stdim.errors import ConfigurationError

FRAME_SKIP = 4
MAX_NOOPS = 30
MAX_GAME_FRAMES = 108_000
NOOP = 0

Screens = tuple[NDArray[np.uint8], NDArray[np.uint8]]


class Emulator:
    """A game that is played step by step; the attributes hold the state after the last call.

    Frame, RAM and lives always belong to the same emulator state, also when an episode begins.

    Attributes:
        game: canonical name.
        settings: everything that the recorded frames depend on (version, ROM, wrappers), as plain
            data.
        n_actions: size of the minimal action set; action 0 is NOOP.
        pixels: kind of the pixels of `frame`.
        screens: palette indices of the last two screens, uint8 [210, 160] each, in either order.
            They are overwritten by the next call, unless :meth:`show_in` named another place.
        ram: uint8 [128]; overwritten by the next call.
        lives: lives left, 0 in games without lives.
        terminated: a life was lost or the game is over.
        truncated: the game reached its frame limit.

    Args:
        game: any spelling that :func:`~lightning_stdim.datamodules.labels.canonical_game` knows.
        pixels: kind of the pixels of `frame`.
        mode: number of the game mode; by default the one that the game starts with.
        difficulty: number of the game's difficulty; by default the one that the game starts with.
        environment: how games start, and what a step does to the emulator.

    Raises:
        ConfigurationError: the game or the environment is unknown, the game has no such mode or
            difficulty, or the installed ale-py shows it in colours that this package's palette does
            not have.
    """

    def __init__(
        self,
        game: str,
        pixels: Pixels = "luma",
        *,
        mode: int | None = None,
        difficulty: int | None = None,
        environment: Environment = "paper",
    ) -> None:
        self.game = canonical_game(game)
        self._dynamics = dynamics(environment)
        rom = next(r for r in roms.get_all_rom_ids() if r.replace("_", "") == self.game)
        path = roms.get_rom_path(rom)
        assert path is not None  # it is one of the ROMs that ale-py listed
        ALEInterface.setLoggerMode(LoggerMode.Error)  # before it prints its banner
        self._ale = ale = ALEInterface()
        # Sticky actions, where there are any, are drawn from the game's generator (see _advance):
        # ALE's own can be seeded only by loading the ROM again.
        ale.setFloat("repeat_action_probability", 0.0)
        ale.setInt("max_num_frames_per_episode", MAX_GAME_FRAMES)
        ale.setInt("random_seed", 0)  # nothing draws from it without sticky actions
        ale.loadROM(path)
        variation = {"mode": mode, "difficulty": difficulty}
        self._set_variation(mode, difficulty)
        # A game's first state depends on what the machine did before (seen in Seaquest, Tennis and
        # others) unless the machine is set back first. Loading the ROM again does so too, but
        # takes 100 ms: longer than a game of Breakout.
        self._switched_on = ale.cloneSystemState()

        self._actions = ale.getMinimalActionSet()
        self.n_actions = len(self._actions)
        names = [action.name for action in self._actions]
        fire = self._dynamics.fire_at_reset and "FIRE" in names
        self._start_actions = (1, 2) if fire else ()
        self.settings: dict[str, Any] = {
            "ale_py": ale_py.__version__,
            "rom_sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
            "actions": " ".join(names),
            "repeat_action_probability": self._dynamics.repeat_action_probability,
            "max_noops": MAX_NOOPS,
            "frame_skip": FRAME_SKIP,
            "life_loss_ends_episode": True,
            "start_actions": " ".join(names[action] for action in self._start_actions),
            "max_game_frames": MAX_GAME_FRAMES,
        }
        self.settings |= {name: value for name, value in variation.items() if value is not None}
        if environment != "paper":  # as files had it before there were others
            skips = " ".join(map(str, self._dynamics.frame_skips))
            self.settings |= {"environment": environment, "frames_in_a_step": skips}
        if pixels == "luma":  # as files had it before there were others
            how = "luma of the RGB maximum of the last two screens (OpenCV RGB2GRAY)"
            self.settings["greyscale"] = how
        else:
            self.settings["pixels"] = pixels

        self.pixels: Pixels = pixels
        self.screens: Screens = (np.zeros((210, 160), np.uint8), np.zeros((210, 160), np.uint8))
        self.show_in(self.screens)
        self._rng: np.random.Generator | None = None
        self._held = NOOP  # the action that the last emulator frame got
        self.ram: NDArray[np.uint8] = np.zeros(128, np.uint8)
        self.lives = 0
        self.terminated = self.truncated = True
        self._check_palette()

    @property
    def frame(self) -> NDArray[np.uint8]:
        """The observation: the screens' maximum, [3, 210, 160], or its luma, [210, 160].

        It is computed at every access. Collecting does this later, for many steps at once.
        """
        return maximum(*self.screens, self.pixels)

    @property
    def luma(self) -> NDArray[np.uint8]:
        """The observation's luma, uint8 [210, 160], which policies see whatever `pixels` is.

        So a game does not depend on the kind of frames that is recorded.
        """
        return maximum(*self.screens, "luma")

    def show_in(self, place: Screens) -> None:
        """Write the screens to another place from the next call on, which saves copying them.

        Args:
            place: two arrays uint8 [210, 160], which become `screens` then.
        """
        self._place = place
        # The screens of a step go to the two arrays in turn, so that the last two are always
        # there, also if the game ends within a step.
        self._turn = place * (FRAME_SKIP // 2)

    def new_game(self, *, noops: int, rng: np.random.Generator | None = None) -> None:
        """Start a game, which depends only on the arguments and the actions that follow.

        Args:
            noops: number of single steps with NOOP before the first episode.
            rng: where an environment with random dynamics draws from until the next game; other
                environments do not need it.
        """
        assert rng is not None or not self._dynamics.random, "random dynamics need a generator"
        ale, self._held = self._ale, NOOP
        self._rng = rng if self._dynamics.random else None
        ale.restoreSystemState(self._switched_on)
        ale.reset_game()
        for _ in range(noops):
            self._advance(NOOP)
            if ale.game_over():
                ale.reset_game()
        self.screens = self._place
        for screen in self._turn:  # one single screen is the first observation
            ale.getScreen(screen)
        self._see(first=True)
        self._start_episode()

    def next_episode(self) -> bool:
        """Begin the game's next episode, if there is one.

        Returns:
            True if there is one; False after a game over or at the frame limit.
        """
        if self._ale.game_over():
            return False
        self._repeat(NOOP)
        self._see(first=True)
        self._start_episode()
        return not self._ale.game_over()

    def step(self, action: int) -> float:
        """Repeat an action for four single steps, each of one emulator frame in most environments.

        Args:
            action: index into the minimal action set.

        Returns:
            The sum of the rewards, not clipped.
        """
        reward = self._repeat(action)
        self._see(first=False)
        return reward

    def _start_episode(self) -> None:
        for action in self._start_actions:
            self._repeat(action)
            self._see(first=False)
            if self._ale.game_over():
                return
            if self.terminated:  # a life is lost already: start again
                self._repeat(NOOP)
                self._see(first=True)

    def _repeat(self, action: int) -> float:
        ale, before = self._ale, self.screens[1]
        self.screens = self._place
        reward = 0
        for acted, screen in enumerate(self._turn, start=1):
            reward += self._advance(action)
            ale.getScreen(screen)
            if ale.game_over():
                if acted == 1:
                    self.screens[1][...] = before  # the game's last but one
                break
        return float(reward)

    def _advance(self, action: int) -> int:
        """Take a single step, and return its reward."""
        rng = self._rng
        if rng is None:
            return self._ale.act(self._actions[action])
        skips, sticky = self._dynamics.frame_skips, self._dynamics.repeat_action_probability
        reward = 0
        for _ in range(skips[rng.integers(len(skips))]):  # ALE plays no frame after a game's end
            if rng.random() >= sticky:
                self._held = action
            reward += self._ale.act(self._actions[self._held])
        return reward

    def _see(self, *, first: bool) -> None:
        ale = self._ale
        ale.getRAM(self.ram)
        lives = ale.lives()
        # Some games show 0 lives for a while before the game is over: that is not yet an end.
        lost = not first and 0 < lives < self.lives
        self.lives = lives
        self.terminated = lost or ale.game_over(with_truncation=False)
        self.truncated = ale.game_truncated()

    def _set_variation(self, mode: int | None, difficulty: int | None) -> None:
        ale = self._ale
        for name, value, there, set_to in (
            ("mode", mode, ale.getAvailableModes(), ale.setMode),
            ("difficulty", difficulty, ale.getAvailableDifficulties(), ale.setDifficulty),
        ):
            if value is None:
                continue
            if value not in there:
                raise ConfigurationError(
                    f"{self.game} has no {name} {value}: choose from {', '.join(map(str, there))}"
                )
            set_to(value)

    def _check_palette(self) -> None:
        self._ale.reset_game()
        if not np.array_equal(self._ale.getScreenRGB(), PALETTE[self._ale.getScreen()]):
            raise ConfigurationError(
                f"ale-py {ale_py.__version__} shows {self.game} in other colours than ale-py 0.12 "
                "does, and the frames would be wrong: install that version"
            )
