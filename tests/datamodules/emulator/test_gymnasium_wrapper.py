"""The Gymnasium wrapper: its labels are annotated bytes of the emulator's RAM, wherever it sits."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from importlib.resources import files
from typing import Any

import ale_py
import cloudpickle
import gymnasium
import numpy as np
import pytest
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv
from gymnasium.wrappers import AtariPreprocessing, FrameStackObservation
from stable_baselines3.common.atari_wrappers import AtariWrapper
from stable_baselines3.common.vec_env import DummyVecEnv

from lightning_stdim import AtariARIWrapper
from lightning_stdim.datamodules.labels.games import games
from lightning_stdim.errors import ConfigurationError

gymnasium.register_envs(ale_py)
FACTS = json.loads(
    files("lightning_stdim.datamodules.labels").joinpath("annotations.json").read_text()
)
PONG, BREAKOUT = "PongNoFrameskip-v4", "BreakoutNoFrameskip-v4"
SHORT = 12  # emulator frames until an episode is cut


def truth(env: gymnasium.Env, game: str = "pong", label_set: str = "paper") -> dict[str, int]:
    ram = env.unwrapped.ale.getRAM()
    return {name: int(ram[entry["ram"]]) for name, entry in FACTS[label_set][game].items()}


def wrapped(env_id: str = PONG, **options: Any) -> AtariARIWrapper:
    return AtariARIWrapper(gymnasium.make(env_id, **options))


@pytest.mark.parametrize("env_id", ["ALE/Breakout-v5", BREAKOUT, "Breakout-v4"])
def test_labels_at_reset_and_at_every_step(env_id: str) -> None:
    env = wrapped(env_id)
    _, info = env.reset(seed=1)
    seen = [info["labels"]]
    assert info["labels"] == env.labels() == truth(env, "breakout")
    for action in [1, 2, 3] * 20:
        *_, info = env.step(action)
        assert info["labels"] == truth(env, "breakout")
        assert "lives" in info  # what was there before stays
        seen.append(info["labels"])
    assert len({labels["ball_x"] for labels in seen}) > 3
    assert {tuple(labels) for labels in seen} == {tuple(FACTS["paper"]["breakout"])}
    assert {type(value) for labels in seen for value in labels.values()} == {int}


@pytest.mark.parametrize("game", games("upstream"))
def test_every_annotated_game(game: str) -> None:
    rom = next(r for r in ale_py.roms.get_all_rom_ids() if r.replace("_", "") == game)
    env_id = f"ALE/{''.join(map(str.capitalize, rom.split('_')))}-v5"
    env = wrapped(env_id)
    assert env.labels() == truth(env, game, "paper" if game in FACTS["paper"] else "upstream")


def test_the_label_set_can_be_chosen() -> None:
    env = AtariARIWrapper(gymnasium.make("ALE/SpaceInvaders-v5"), label_set="upstream")
    assert env.reset(seed=0)[1]["labels"] == truth(env, "spaceinvaders", "upstream")
    assert set(env.labels()) == set(FACTS["upstream"]["spaceinvaders"])
    with pytest.raises(ConfigurationError, match="label set 'mine' is unknown"):
        AtariARIWrapper(env.env, label_set="mine")  # type: ignore[arg-type]


def test_the_game_is_found_under_another_name_and_without_a_spec() -> None:
    gymnasium.register("Mine-v0", entry_point="ale_py.env:AtariEnv", kwargs={"game": "ms_pacman"})
    for env in (gymnasium.make("Mine-v0"), ale_py.AtariEnv("ms_pacman")):
        assert set(AtariARIWrapper(env).labels()) == set(FACTS["paper"]["mspacman"])


def preprocessing(env: gymnasium.Env) -> gymnasium.Env:
    return AtariPreprocessing(env, screen_size=84, frame_skip=4, noop_max=30)


STACKS: dict[str, Callable[[gymnasium.Env], gymnasium.Env]] = {
    "inside AtariPreprocessing": lambda env: preprocessing(AtariARIWrapper(env)),
    "outside AtariPreprocessing": lambda env: AtariARIWrapper(preprocessing(env)),
    "inside FrameStackObservation": lambda env: FrameStackObservation(AtariARIWrapper(env), 4),
    "outside FrameStackObservation": lambda env: AtariARIWrapper(FrameStackObservation(env, 4)),
    "between": lambda env: FrameStackObservation(AtariARIWrapper(preprocessing(env)), 4),
    "inside Stable-Baselines3's": lambda env: AtariWrapper(AtariARIWrapper(env)),
    "outside Stable-Baselines3's": lambda env: AtariARIWrapper(AtariWrapper(env)),
    "twice": lambda env: AtariARIWrapper(AtariARIWrapper(env)),
}


@pytest.mark.parametrize("stack", STACKS.values(), ids=STACKS)
def test_labels_among_other_wrappers(stack: Callable[[gymnasium.Env], gymnasium.Env]) -> None:
    env = stack(gymnasium.make(BREAKOUT))
    actions = np.random.default_rng(0).integers(0, 4, 60)
    for _ in range(2):  # with Stable-Baselines3's, the second begins in the middle of a game
        _, info = env.reset(seed=3)
        assert env.get_wrapper_attr("labels")() == truth(env, "breakout")
        if stack is not STACKS["inside Stable-Baselines3's"]:  # which drops a reset's info
            assert info["labels"] == truth(env, "breakout")
        for action in actions:
            _, _, terminated, truncated, info = env.step(action)
            assert info["labels"] == truth(env, "breakout")
            if terminated or truncated:
                break


def trajectory(seed: int, steps: int) -> list[dict[str, int]]:
    """What an environment alone shows, each time until its end: the truth for vectors of them."""
    env, seen = gymnasium.make(PONG, max_num_frames_per_episode=SHORT), []
    env.reset(seed=seed)
    seen.append(truth(env))
    while len(seen) <= steps:
        _, _, terminated, truncated, _ = env.step(2)
        seen.append(truth(env))
        if terminated or truncated:
            break
    return seen


def row(labels: dict[str, Any], k: int) -> dict[str, int]:
    """One environment's labels in the infos of a vector of them."""
    names = [name for name in labels if not name.startswith("_")]
    assert all(labels[f"_{name}"][k] for name in names)
    assert all(np.issubdtype(labels[name].dtype, np.integer) for name in names)
    return {name: int(labels[name][k]) for name in names}


@pytest.mark.parametrize("mode", AutoresetMode)
@pytest.mark.parametrize("vector", [SyncVectorEnv, AsyncVectorEnv])
def test_labels_in_vector_environments(vector: Any, mode: AutoresetMode) -> None:
    expected = [trajectory(seed, 3 * SHORT) for seed in (0, 1)]
    episode = len(expected[0])
    assert episode <= SHORT + 1
    make = [lambda: wrapped(max_num_frames_per_episode=SHORT)] * 2
    envs = vector(make, autoreset_mode=mode)
    try:
        _, infos = envs.reset(seed=[0, 1])
        assert [row(infos["labels"], k) for k in (0, 1)] == [one[0] for one in expected]
        for t in range(1, episode):
            *_, truncated, infos = envs.step(np.array([2, 2]))
            last = t == episode - 1
            assert truncated.tolist() == [last, last]
            now = infos["final_info"] if last and mode == AutoresetMode.SAME_STEP else infos
            assert [row(now["labels"], k) for k in (0, 1)] == [one[t] for one in expected]
        if mode == AutoresetMode.NEXT_STEP:
            *_, infos = envs.step(np.array([2, 2]))
        elif mode == AutoresetMode.DISABLED:
            _, infos = envs.reset(options={"reset_mask": np.array([True, True])})
        # An episode has begun, in all modes; its labels are those of a game's first state.
        assert [row(infos["labels"], k) for k in (0, 1)] == [one[0] for one in expected]
    finally:
        envs.close()


def test_labels_in_stable_baselines3() -> None:
    envs = DummyVecEnv([lambda: wrapped(max_num_frames_per_episode=SHORT)] * 2)
    envs.seed(0)
    expected = [trajectory(seed, 3 * SHORT) for seed in (0, 1)]
    envs.reset()
    assert [info["labels"] for info in envs.reset_infos] == [one[0] for one in expected]
    for t in range(1, len(expected[0])):
        _, _, done, infos = envs.step(np.array([2, 2]))
        # At the end too: the info is the ended episode's, as "terminal_observation" in it is.
        assert [info["labels"] for info in infos] == [one[t] for one in expected]
    assert done.all()
    assert all("terminal_observation" in info for info in infos)
    assert [info["labels"] for info in envs.reset_infos] == envs.env_method("labels")
    envs.close()


@pytest.mark.parametrize("library", [pickle, cloudpickle])
def test_a_copy_goes_on_with_its_labels(library: Any) -> None:
    env = library.loads(library.dumps(AtariARIWrapper(gymnasium.make(PONG), label_set="upstream")))
    assert env.reset(seed=0)[1]["labels"] == truth(env, "pong", "upstream")


def test_it_is_made_again_from_its_spec() -> None:
    env = AtariARIWrapper(gymnasium.make("ALE/SpaceInvaders-v5"), label_set="upstream")
    again = gymnasium.make(env.spec)
    assert again.reset(seed=5)[1]["labels"] == env.reset(seed=5)[1]["labels"]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: gymnasium.make("ALE/Phoenix-v5"),
            r"'phoenix' is not annotated\. The annotated games",
        ),
        (lambda: gymnasium.make("ALE/Pacman-v5"), "did you mean 'mspacman'"),
        (lambda: gymnasium.make("CartPole-v1"), "CartPole-v1 is not a single environment of"),
        (lambda: gymnasium.make_vec("ALE/Pong-v5", 1), r"not a single .* annotated game is 'pong'"),
        (lambda: SyncVectorEnv([lambda: gymnasium.make(PONG)]), "before it becomes part of a vec"),
        (lambda: "pong", "str is not a single environment of ale-py, so"),
    ],
)
def test_a_wrong_environment_is_one_clear_error(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        AtariARIWrapper(make())
