"""Who plays while frames are collected.

A policy is made anew for every game, with that game's random generator, so that what it does
depends only on the game's seed. Frames are recorded at 210x160; agents see the same frames as the
usual stack of four at 84x84 (:mod:`~lightning_stdim.datamodules.policies.agent`).
"""

from __future__ import annotations

import hashlib
import re
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lightning_stdim.datamodules.policies.random_play import POLICIES
from lightning_stdim.datamodules.policies.types import MakePolicy, Observe, Policy
from lightning_stdim.errors import ConfigurationError, StoreError
from lightning_stdim.utils.user_code import import_from, source_file, what_failed

AGENT_SUFFIXES = (".zip", ".safetensors", ".pth", ".pt")


@dataclass(frozen=True, kw_only=True)
class PolicySettings:
    """Which policy plays, as plain data.

    Args:
        policy: a key of :data:`POLICIES`; the file of an agent
            (:func:`~lightning_stdim.datamodules.policies.agent.load_agent`); or
            ``"my_module.my_policy"`` (or ``"my_module:my_policy"``) for a function. It is called at
            the beginning of every game with the size n of the minimal action set and the game's
            ``numpy.random.Generator``, and returns a callable that takes uint8 [4, 84, 84] (the
            last four frames, oldest first; zeros before an episode's first) and returns an action,
            0 to n - 1. All its randomness must come from that generator.
        epsilon: probability, 0 to 1, that an action is replaced by one drawn uniformly from all n,
            NOOP included. The paper's PPO agent has 0.2.
        greedy: let an agent take its most probable action instead of drawing one from its
            distribution.

    Raises:
        ConfigurationError: a value is wrong or the policy is not found.
        StoreError: the agent's file cannot be read.
    """

    policy: str = "random"
    epsilon: float = 0.0
    greedy: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.policy, str):
            raise ConfigurationError(
                f"policy is {self.policy!r}: give a name, an agent's file or my_module.my_policy"
            )
        if re.fullmatch(r"\w+(\.\w+)+", self.policy) and not self.is_agent:
            # One spelling, so that the two share their collections.
            object.__setattr__(self, "policy", ":".join(self.policy.rsplit(".", 1)))
        if not 0 <= self.epsilon <= 1:
            raise ConfigurationError(f"epsilon={self.epsilon} must lie in 0..1")
        if self.greedy and not self.is_agent:
            raise ConfigurationError(f"greedy is for an agent's file; policy is {self.policy!r}")
        if (file := self._file()) is not None and not file.is_file():
            raise StoreError(f"there is no policy {file}")

    @property
    def is_agent(self) -> bool:
        """Whether the policy is the file of an agent."""
        return self.policy.endswith(AGENT_SUFFIXES)

    def _file(self) -> Path | None:
        """Find the file of the agent or the module; None for the policies that ship."""
        if self.policy in POLICIES:
            return None
        if self.is_agent:
            return Path(self.policy)
        module, colon, _ = self.policy.partition(":")
        if not colon:
            raise ConfigurationError(
                f"policy {self.policy!r} is unknown: choose one of {', '.join(POLICIES)}, an "
                f"agent's file ({', '.join(AGENT_SUFFIXES)}) or my_module.my_policy"
            )
        return source_file(module)

    def attributes(self) -> dict[str, Any]:
        """Describe the policy for the collection's file.

        Returns:
            ``policy``, ``policy_sha256`` (of the agent's or the module's file; empty if there is
            none), ``epsilon`` and ``greedy``; for an agent also the version of ``torch``, whose
            rounding can decide an action.

        Raises:
            StoreError: the file cannot be read.
        """
        name = Path(self.policy).name if self.is_agent else self.policy
        return {
            "policy": name,
            "policy_sha256": self._sha256(),
            "epsilon": float(self.epsilon),
            "greedy": self.greedy,
            **({"torch": version("torch")} if self.is_agent else {}),
        }

    def _sha256(self) -> str:
        if (file := self._file()) is None:
            return ""
        try:
            return hashlib.sha256(file.read_bytes()).hexdigest()
        except OSError as error:
            raise StoreError(f"policy {file} cannot be read: {error.strerror}") from error

    def label(self) -> str:
        """Name the policy within a file's name, so that different policies never share one.

        Returns:
            Letters, digits, ``.``, ``_`` and ``-``.
        """
        name = self.policy
        if digest := self._sha256():
            stem = Path(name).stem if self.is_agent else name
            name = f"{re.sub(r'[^A-Za-z0-9_.]+', '-', stem)}-{digest[:8]}"
        mixing = f"-eps{float(self.epsilon)!r}" if self.epsilon else ""
        return name + mixing + ("-greedy" if self.greedy else "")

    def options(self) -> str:
        """Write the policy as options of the command line.

        Returns:
            What to append to ``collect``; empty for the random policy. An agent's file is named
            without its folder, so that a collection does not depend on where its agent was.
        """
        name = Path(self.policy).name if self.is_agent else self.policy
        options = [] if self.policy == "random" else ["--policy", name]
        options += ["--epsilon", repr(float(self.epsilon))] if self.epsilon else []
        options += ["--greedy", "true"] if self.greedy else []
        return "".join(f" {shlex.quote(option)}" for option in options)

    def load(self) -> MakePolicy:
        """Load the policy, once per process.

        Returns:
            A function that makes the policy of each game.

        Raises:
            ConfigurationError: the callable is not found, or what it needs is not installed.
            EncoderError: the file holds no agent of a known kind.
            StoreError: the file is damaged.
        """
        if self.policy in POLICIES:
            make = POLICIES[self.policy]
        else:
            from lightning_stdim.datamodules.policies import agent

            if self.is_agent:
                make = agent.load_agent(Path(self.policy), greedy=self.greedy)
            else:
                make = agent.with_agent_preprocessing(_user_policy(self.policy))
        return _mixed(make, self.epsilon) if self.epsilon else make


def _mixed(make: MakePolicy, epsilon: float) -> MakePolicy:
    def made(n_actions: int, rng: np.random.Generator) -> Policy:
        policy = make(n_actions, rng)

        def act(observe: Observe, first: bool) -> int:
            action = policy(observe, first)  # even if it is replaced: it must see every frame
            return int(rng.integers(n_actions)) if rng.random() < epsilon else action

        return act

    return made


def _user_policy(name: str) -> Callable[..., Any]:
    found = import_from(name)
    if not callable(found):
        raise ConfigurationError(f"policy {name!r} is a {type(found).__name__}, not a callable")
    return checked(name, found)


def checked(name: str, make: Callable[..., Any]) -> Callable[..., Any]:
    """Check what a user's policy returns.

    Args:
        name: the policy's name for error messages.
        make: makes the policy; see :class:`PolicySettings`.

    Returns:
        The same function, whose policies raise a clear error when they fail or return something
        else than an action.
    """

    def made(n_actions: int, rng: np.random.Generator) -> Callable[[NDArray[np.uint8]], int]:
        try:
            policy = make(n_actions, rng)
        except Exception as error:
            raise ConfigurationError(f"policy {name!r} failed: {what_failed(error)}") from error

        def act(view: NDArray[np.uint8]) -> int:
            try:
                action = policy(view)
                number = int(action)
            except Exception as error:
                raise ConfigurationError(f"policy {name!r} failed: {what_failed(error)}") from error
            if number != action or not 0 <= number < n_actions:
                raise ConfigurationError(
                    f"policy {name!r} returned {action!r}: an action is an integer in "
                    f"0..{n_actions - 1}"
                )
            return number

        return act

    return made
