"""AtariARI for Gymnasium: every observation comes with the state variables that it shows."""

from __future__ import annotations

from typing import Any, SupportsFloat

import gymnasium
from gymnasium.core import ActType, ObsType

from lightning_stdim.datamodules.labels.annotations import annotation
from lightning_stdim.datamodules.labels.games import (
    LabelSet,
    canonical_game,
    default_label_set,
    nearest_game,
)
from lightning_stdim.errors import ConfigurationError


class AtariARIWrapper(
    gymnasium.Wrapper[ObsType, ActType, ObsType, ActType], gymnasium.utils.RecordConstructorArgs
):
    """Add ``info["labels"]`` to every reset and step of an Atari environment.

    The labels are a dict from the name of every annotated variable to its value, a Python int 0 to
    255. They are read from the RAM of the emulator state that the observation shows, and have the
    same names in the same order every time. The wrapper can be inside or outside other wrappers
    that pass on the ``info`` of the newest frame, as Gymnasium's do. Stable-Baselines3's
    ``AtariWrapper`` drops the ``info`` of a reset, so this wrapper goes around it:
    ``AtariARIWrapper(AtariWrapper(env))``. Vector environments are made of wrapped single ones;
    Gymnasium's turn the dict into a dict of arrays.

    Args:
        env: an environment of ale-py, such as ``gymnasium.make("ALE/Pong-v5")`` or
            ``gymnasium.make("PongNoFrameskip-v4")``, in any wrappers.
        label_set: ``"paper"`` or ``"upstream"``; by default paper where it has the game.

    Raises:
        ConfigurationError: the environment is not a single one of an annotated game, or the label
            set does not have the game.
    """

    def __init__(
        self, env: gymnasium.Env[ObsType, ActType], label_set: LabelSet | None = None
    ) -> None:
        game = _game(env)
        self._annotation = annotation(game, label_set or default_label_set(game))
        gymnasium.utils.RecordConstructorArgs.__init__(self, label_set=label_set)
        super().__init__(env)

    def labels(self) -> dict[str, int]:
        """Read the state variables of the emulator's current state.

        Returns:
            Values 0 to 255 by the variables' names.
        """
        # Not through self.unwrapped, whose type has no emulator.
        values = self._annotation.decode(self.get_wrapper_attr("ale").getRAM())
        return dict(zip(self._annotation.variables, values.tolist(), strict=True))

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[ObsType, dict[str, Any]]:
        """Begin an episode; see Gymnasium's ``Env.reset``."""
        observation, info = self.env.reset(seed=seed, options=options)
        return observation, {**info, "labels": self.labels()}

    def step(self, action: ActType) -> tuple[ObsType, SupportsFloat, bool, bool, dict[str, Any]]:
        """Take an action; see Gymnasium's ``Env.step``."""
        observation, reward, terminated, truncated, info = self.env.step(action)
        return observation, reward, terminated, truncated, {**info, "labels": self.labels()}


def _game(env: gymnasium.Env[Any, Any]) -> str:
    """Find out which annotated game an environment plays."""
    machine = getattr(env, "unwrapped", env)
    spec = getattr(machine, "spec", None)
    if not isinstance(env, gymnasium.Env) or not hasattr(getattr(machine, "ale", None), "getRAM"):
        near = nearest_game(spec.id) if spec else None
        hint = f"; the nearest annotated game is {near!r}" if near else ""
        raise ConfigurationError(
            f"{spec.id if spec else type(machine).__name__} is not a single environment of ale-py, "
            f"so it has no RAM to read labels from{hint}: wrap an environment such as "
            'gymnasium.make("ALE/Pong-v5"), before it becomes part of a vector environment'
        )
    # ale-py keeps the ROM's name, under whatever id the environment was registered.
    return canonical_game(str(getattr(machine, "_game", None) or (spec and spec.id)))
