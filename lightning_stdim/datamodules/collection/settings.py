"""The settings of a collection."""

from __future__ import annotations

import os
from dataclasses import KW_ONLY, dataclass

from lightning_stdim.datamodules.emulator.environments import Environment, dynamics
from lightning_stdim.datamodules.labels.annotations import Annotation, annotation
from lightning_stdim.datamodules.labels.games import LabelSet, canonical_game, default_label_set
from lightning_stdim.datamodules.pixels import Pixels, frame_shape
from lightning_stdim.datamodules.policies.settings import PolicySettings
from lightning_stdim.utils.checks import integer


@dataclass(frozen=True)
class CollectionSettings:
    """Everything that the content of a collection depends on.

    The same settings always give the same file, bit for bit. Values are checked, and kept in one
    spelling: ``CollectionSettings("ALE/Pong-v5") == CollectionSettings("pong")``.

    Args:
        game: name of the game in any spelling, such as pong, MsPacman or ALE/Pong-v5.
        steps: number of frames to collect, at least 1. The last episode is cut off there.
        seed: random seed of the games, at least 0. Different seeds share no game.
        policy: who plays: random (uniformly random actions, as in the paper), sticky-random (keeps
            an action for a while), the file of a trained agent (a Stable-Baselines3 .zip, or a
            .pt, .pth or .safetensors file with a Nature CNN's weights), or my_module.my_policy (or
            my_module:my_policy) for a policy of your own.
        epsilon: probability, from 0 to 1, that an action is replaced by a uniformly random one. The
            paper's PPO agent has 0.2.
        greedy: let a trained agent take its most probable action instead of drawing one.
        pixels: luma for grey frames, as in the paper, or rgb for colour. An agent sees grey frames
            in either case, so the games are the same.
        mode: number of the game mode; by default the one that the game starts with, as in the
            paper.
        difficulty: number of the game's difficulty; by default the one that the game starts with,
            as in the paper.
        environment: paper for NoFrameskip-v4 in the paper's wrappers; challenge for the same
            without FIRE at reset, as in the challenge report on the paper; or challenge-v0 for that
            with the dynamics of Pong-v0, in which each of an action's four steps lasts for
            two to four emulator frames, and each frame repeats the action before it with
            probability 0.25.
        label_set: labels to store: paper (the variables that the paper scored) or upstream (all
            that its authors have annotated since). By default paper where it has the game.

    Raises:
        ConfigurationError: a value is wrong, or does not go with the others.
        StoreError: the policy's file is missing.
    """

    game: str = "pong"
    _: KW_ONLY
    steps: int = 100_000
    seed: int = 0
    policy: str = "random"
    epsilon: float = 0.0
    greedy: bool = False
    pixels: Pixels = "luma"
    mode: int | None = None
    difficulty: int | None = None
    environment: Environment = "paper"
    label_set: LabelSet | None = None

    def __post_init__(self) -> None:
        self._set("game", canonical_game(self.game))
        self._set("steps", integer("steps", self.steps, at_least=1))
        self._set("seed", integer("seed", self.seed))
        if isinstance(self.policy, os.PathLike):  # an agent's file
            self._set("policy", os.fspath(self.policy))
        self._set("policy", self.policy_settings.policy)  # checks the three settings
        frame_shape(self.pixels)  # checks them
        dynamics(self.environment)  # so does this
        if self.mode is not None:
            self._set("mode", integer("mode", self.mode))
        if self.difficulty is not None:
            self._set("difficulty", integer("difficulty", self.difficulty))
        self._set("label_set", self.label_set or default_label_set(self.game))
        self.labels.check_bytes()

    def _set(self, name: str, value: object) -> None:
        object.__setattr__(self, name, value)  # the only way into a frozen dataclass

    @property
    def policy_settings(self) -> PolicySettings:
        """Who plays."""
        return PolicySettings(policy=self.policy, epsilon=self.epsilon, greedy=self.greedy)

    @property
    def labels(self) -> Annotation:
        """The labels to store."""
        return annotation(self.game, self.label_set or default_label_set(self.game))

    def file_name(self) -> str:
        """Name the collection's file, so that different collections never share one.

        Returns:
            The name without a folder, such as ``"pong-random-seed0-100000.h5"``. A policy that is
            read from a file is named with the beginning of that file's hash.

        Raises:
            StoreError: the policy's file cannot be read.
        """
        choices = [
            f"{name}{choice}" if choice.isdecimal() else choice
            for name, choice in self._non_default().items()
        ]
        policy = self.policy_settings.label()
        return "-".join([self.game, policy, f"seed{self.seed}", str(self.steps), *choices]) + ".h5"

    def command(self) -> str:
        """Write the command that makes the collection.

        Returns:
            A line for a shell. An agent's file is named without its folder.
        """
        return (
            f"python -m lightning_stdim collect --game {self.game} --steps {self.steps} "
            f"--seed {self.seed}{self.policy_settings.options()}"
            + "".join(f" --{name} {choice}" for name, choice in self._non_default().items())
        )

    def _non_default(self) -> dict[str, str]:
        """Give the choices that file name and command mention: all others are the default."""
        choices = {
            "pixels": None if self.pixels == "luma" else self.pixels,
            "mode": self.mode,
            "difficulty": self.difficulty,
            "environment": None if self.environment == "paper" else self.environment,
            "label_set": None if self.label_set == default_label_set(self.game) else self.label_set,
        }
        return {name: str(choice) for name, choice in choices.items() if choice is not None}
