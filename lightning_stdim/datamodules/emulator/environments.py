"""The environments: how a game starts, and what one step of it does to the emulator.

They have a file of their own, so that what only names an environment does not import the emulator.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from lightning_stdim.utils.checks import one_of

Environment = Literal["paper", "challenge", "challenge-v0"]


@dataclass(frozen=True)
class Dynamics:
    """What distinguishes an environment from another.

    Attributes:
        fire_at_reset: an episode begins with FIRE and one more action, in games that have FIRE.
        frame_skips: for how many emulator frames a single step can last. The number is drawn
            uniformly at every step, if there are several.
        repeat_action_probability: probability that an emulator frame gets the action of the frame
            before it. It is drawn for every frame.
    """

    fire_at_reset: bool
    frame_skips: tuple[int, ...] = (1,)
    repeat_action_probability: float = 0.0

    @property
    def random(self) -> bool:
        """Whether the same actions can lead to different games."""
        return len(self.frame_skips) > 1 or self.repeat_action_probability > 0


ENVIRONMENTS: dict[Environment, Dynamics] = {
    "paper": Dynamics(fire_at_reset=True),
    "challenge": Dynamics(fire_at_reset=False),
    "challenge-v0": Dynamics(
        fire_at_reset=False, frame_skips=(2, 3, 4), repeat_action_probability=0.25
    ),
}
"""``"paper"`` is ``{Game}NoFrameskip-v4`` in the paper's wrappers. ``"challenge"`` is the same in
those of the challenge report on it, which has no FIRE at reset, and ``"challenge-v0"`` is
``{Game}-v0`` in them: that report's code names that game, and leaves open whether it was played."""


def dynamics(environment: str) -> Dynamics:
    """Look up an environment.

    Args:
        environment: its name.

    Returns:
        What distinguishes it.

    Raises:
        ConfigurationError: there is no such environment.
    """
    return ENVIRONMENTS[one_of("environment", environment, tuple(ENVIRONMENTS))]
