"""The protocol's environment written out over Gymnasium's: the slow truth for our own loop."""

from __future__ import annotations

from dataclasses import dataclass

import ale_py
import cv2
import gymnasium
import numpy as np

gymnasium.register_envs(ale_py)


@dataclass
class Seen:
    frame: np.ndarray
    rgb: np.ndarray
    ram: np.ndarray
    lives: int
    reward: float
    terminated: bool
    truncated: bool


class AleDraws:
    """What an environment with random dynamics draws after ``reset(seed=0)``, for our own loop.

    The numbers of frames come from Gymnasium's generator. ALE's, a Mersenne Twister, decides twice
    a frame, once for each player, whether the action before it is repeated.
    """

    def __init__(self) -> None:
        own, ale = np.random.SeedSequence(0).generate_state(n_words=2)
        self.skips, _ = gymnasium.utils.seeding.np_random(int(own))
        self.sticky = np.random.RandomState(ale)

    def integers(self, n: int) -> int:
        return int(self.skips.integers(n))

    def random(self) -> float:
        player, _ = self.sticky.randint(0, 2**32, size=2, dtype=np.uint32)
        return float(player) / 2**32


class ReferenceGame:
    """NoopReset, MaxAndSkip, EpisodicLife, FireReset and greyscale over Gymnasium's environment."""

    def __init__(self, env_id: str, *, fire: bool = True, **options: object) -> None:
        self.fire = fire
        self.env = gymnasium.make(env_id, disable_env_checker=True, **options)
        self.ale = self.env.unwrapped.ale
        self.meanings = self.env.unwrapped.get_action_meanings()

    def new_game(self, noops: int) -> Seen:
        rgb, _ = self.env.reset(seed=0)  # loads the ROM again
        for _ in range(noops):
            rgb, _, _, _, _ = self.env.step(0)
        self.history = [rgb]
        self.lives = self.ale.lives()
        return self._fire(self._seen(rgb, 0.0, False, False))

    def next_episode(self) -> Seen:
        seen = self._skip(0)
        self.lives = seen.lives
        seen.terminated = False
        return self._fire(seen)

    def step(self, action: int) -> Seen:
        seen = self._skip(action)
        if 0 < seen.lives < self.lives:
            seen.terminated = True
        self.lives = seen.lives
        return seen

    def over(self) -> bool:
        return self.ale.game_over()

    def _fire(self, seen: Seen) -> Seen:
        if self.fire and "FIRE" in self.meanings:
            assert self.meanings[1] == "FIRE"
            for action in (1, 2):
                seen = self.step(action)
                assert not seen.terminated
        seen.reward = 0.0
        return seen

    def _skip(self, action: int) -> Seen:
        total = 0.0
        for _ in range(4):
            rgb, reward, terminated, truncated, _ = self.env.step(action)
            self.history = [self.history[-1], rgb]
            total += float(reward)
            if terminated or truncated:
                break
        return self._seen(np.maximum(*self.history), total, terminated, truncated)

    def _seen(self, rgb: np.ndarray, reward: float, terminated: bool, truncated: bool) -> Seen:
        grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
        lives = self.ale.lives()
        return Seen(grey, rgb, self.ale.getRAM(), lives, reward, terminated, truncated)
