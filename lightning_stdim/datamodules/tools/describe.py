"""Statistics of a collection: how much was played, how often frames repeat, how labels vary."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from lightning_stdim.datamodules.labels.annotations import annotation, probed_in_paper, ram2label
from lightning_stdim.datamodules.labels.entropy_filter import ENTROPY_THRESHOLD, entropy
from lightning_stdim.datamodules.labels.games import LabelSet, default_label_set
from lightning_stdim.datamodules.pixels import Pixels
from lightning_stdim.datamodules.policies.random_play import POLICIES
from lightning_stdim.datamodules.splits import (
    PROBE_FRACTIONS,
    frame_digests,
    frames_of,
    split_episodes,
    without_duplicates,
)
from lightning_stdim.datamodules.store.collection import Collection
from lightning_stdim.errors import ConfigurationError

Agent = Literal["random_agent", "ppo_agent"]


@dataclass(frozen=True, kw_only=True)
class Variable:
    """How much a state variable varies in a collection.

    Attributes:
        name: its name in the label set.
        entropy: entropy of its labels, in nats.
        values: number of different labels.
        top_share: share of the most frequent label, in (0, 1].
        scored: whether it passes the entropy filter.
        probed_in_paper: whether the paper probed it on frames of this kind of agent.
    """

    name: str
    entropy: float
    values: int
    top_share: float
    scored: bool
    probed_in_paper: bool


@dataclass(frozen=True, kw_only=True)
class Description:
    """Statistics of a collection, as plain data.

    A lost life ends an episode, not the game. The last game is complete if the last row shows its
    end; a game that the frame limit ends there counts as one that was cut.

    Attributes:
        game: canonical name.
        policy: who played.
        policy_sha256: SHA-256 of the agent's or the module's file, if there is one.
        epsilon: probability that an action was replaced by a random one, if the file has it.
        greedy: whether an agent took its most probable actions, if the file has it.
        seed: the collection's random seed.
        label_set: label set of `variables`.
        pixels: kind of the frames' pixels.
        mode: number of the game mode; None for the one that the game starts with.
        difficulty: number of the game's difficulty; None for the one that the game starts with.
        environment: how games start, and what a step does to the emulator.
        frames: number N of rows.
        unique_frames: number of different frames, 1 to N.
        unique_share: share of different frames, in (0, 1].
        test_duplicates: share of the test frames that also occur in the training or validation
            split, 70/10/20 by episode with seed 0; None if there are too few episodes to split.
        games: number of games; the last one may be cut.
        complete_games: number of games that were played to their end.
        episodes: number of episodes; the last one may be cut.
        episode_length: ``min``, ``median`` and ``max`` over all episodes, in rows.
        returns: ``mean``, ``min`` and ``max`` of the complete games' sums of rewards; None if there
            is no complete game.
        agent: the paper's agent that `probed_in_paper` refers to.
        variables: the state variables, in the order of the label set.
    """

    game: str
    policy: str
    policy_sha256: str | None
    epsilon: float | None
    greedy: bool | None
    seed: int
    label_set: LabelSet
    pixels: Pixels
    mode: int | None
    difficulty: int | None
    environment: str
    frames: int
    unique_frames: int
    unique_share: float
    test_duplicates: float | None
    games: int
    complete_games: int
    episodes: int
    episode_length: dict[str, float]
    returns: dict[str, float] | None
    agent: Agent
    variables: list[Variable]


def describe(collection: Collection, *, label_set: LabelSet | None = None) -> Description:
    """Compute the statistics of a collection.

    Args:
        collection: a collection with its frames, which are not copied.
        label_set: label set of the variables to describe; by default the file's.

    Returns:
        The statistics.

    Raises:
        ConfigurationError: the label set does not have the game.
    """
    attributes = collection.attributes
    game, policy = str(attributes["game"]), str(attributes["policy"])
    label_set = label_set or attributes.get("label_set") or default_label_set(game)
    agent: Agent = "random_agent" if policy in POLICIES else "ppo_agent"  # those play at random
    probed = probed_in_paper(game, agent)
    labels = ram2label(game, collection.ram, label_set)
    digests = frame_digests(collection.frames)
    returns, complete = _returns(collection)
    played, length = returns[:complete], collection.episode_length
    unique = len(np.unique(digests))
    return Description(
        game=game,
        policy=policy,
        policy_sha256=attributes.get("policy_sha256") or None,
        epsilon=attributes.get("epsilon"),
        greedy=attributes.get("greedy"),
        seed=int(attributes["seed"]),
        label_set=label_set,
        pixels=collection.pixels,
        mode=attributes.get("mode"),
        difficulty=attributes.get("difficulty"),
        environment=attributes.get("environment", "paper"),
        frames=len(collection),
        unique_frames=unique,
        unique_share=unique / len(collection),
        test_duplicates=_test_duplicates(collection, digests),
        games=len(returns),
        complete_games=complete,
        episodes=len(length),
        episode_length=_summary(length, ("min", "median", "max")),
        returns=_summary(played, ("mean", "min", "max")) if complete else None,
        agent=agent,
        variables=[
            _variable(name, column, name in probed)
            for name, column in zip(annotation(game, label_set).variables, labels.T, strict=True)
        ],
    )


def _variable(name: str, labels: NDArray[np.int64], probed: bool) -> Variable:
    counts = np.unique(labels, return_counts=True)[1]
    nats = entropy(labels)
    return Variable(
        name=name,
        entropy=nats,
        values=len(counts),
        top_share=float(counts.max() / len(labels)),
        scored=nats >= ENTROPY_THRESHOLD,
        probed_in_paper=probed,
    )


def _returns(collection: Collection) -> tuple[NDArray[np.float64], int]:
    """Sum the rewards of every game; say how many games, from the first, are complete."""
    seeds = collection.episode_seed
    first = np.flatnonzero(np.diff(seeds, prepend=seeds[0] - 1))  # episodes that begin a game
    rewards = collection.rewards.astype(np.float64)
    returns = np.add.reduceat(rewards, collection.episode_start[first])
    return returns, len(returns) - (not collection.game_over())


def _test_duplicates(collection: Collection, digests: NDArray[np.void]) -> float | None:
    start, length = collection.episode_start, collection.episode_length
    try:
        episodes = split_episodes(length, fractions=PROBE_FRACTIONS, seed=0)
    except ConfigurationError:  # too few episodes
        return None
    train, val, test = (frames_of(episodes[name], start, length) for name in PROBE_FRACTIONS)
    new = without_duplicates(test, np.concatenate([train, val]), digests)
    return 1 - len(new) / len(test)


def _summary(values: NDArray[Any], statistics: tuple[str, ...]) -> dict[str, float]:
    return {name: float(getattr(np, name)(values)) for name in statistics}
