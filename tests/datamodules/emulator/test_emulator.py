"""The emulator loop against Gymnasium's environments with the protocol's wrappers written out."""

from itertools import cycle

import numpy as np
import pytest

from lightning_stdim.datamodules.emulator import emulator as emulator_module
from lightning_stdim.datamodules.emulator.emulator import Emulator
from lightning_stdim.datamodules.labels.games import games
from lightning_stdim.errors import ConfigurationError
from tests.datamodules.emulator.reference_wrappers import AleDraws, ReferenceGame, Seen


def assert_same(emulator: Emulator, seen: Seen) -> None:
    np.testing.assert_array_equal(emulator.luma, seen.frame)
    planar = seen.rgb.transpose(2, 0, 1)
    np.testing.assert_array_equal(
        emulator.frame, planar if emulator.frame.ndim == 3 else seen.frame
    )
    np.testing.assert_array_equal(emulator.ram, seen.ram)
    assert emulator.lives == seen.lives
    assert emulator.terminated == seen.terminated
    assert emulator.truncated == seen.truncated


def play_both(emulator: Emulator, reference: ReferenceGame, *, noops: int, steps: int) -> int:
    """Play the same actions on both; return the number of episodes."""
    rng = np.random.default_rng(noops)
    places = cycle(map(tuple, np.empty((3, 2, 210, 160), np.uint8)))
    emulator.show_in(next(places))
    emulator.new_game(noops=noops, rng=AleDraws())
    assert_same(emulator, reference.new_game(noops))
    episodes = 1
    for step in range(steps):
        if step % 2 == 0:  # also when an episode begins, or the game ends
            before = emulator.luma
            emulator.show_in(next(places))
            np.testing.assert_array_equal(emulator.luma, before)  # not yet
        if emulator.terminated or emulator.truncated:
            if not emulator.next_episode():
                assert reference.over()
                break
            assert_same(emulator, reference.next_episode())
            episodes += 1
        action = int(rng.integers(emulator.n_actions))
        reward = emulator.step(action)
        seen = reference.step(action)
        assert_same(emulator, seen)
        assert reward == seen.reward
    return episodes


@pytest.mark.parametrize(
    ("game", "env_id", "steps", "episodes"),
    [
        ("pong", "PongNoFrameskip-v4", 1500, 1),  # a whole game, no lives
        ("breakout", "BreakoutNoFrameskip-v4", 1000, 5),  # a whole game of five lives
        ("spaceinvaders", "SpaceInvadersNoFrameskip-v4", 600, 2),
        ("seaquest", "SeaquestNoFrameskip-v4", 300, 1),
        ("mspacman", "MsPacmanNoFrameskip-v4", 400, 2),  # has no FIRE
        ("freeway", "FreewayNoFrameskip-v4", 100, 1),
    ],
)
def test_equals_gymnasium_with_the_protocol_s_wrappers(game, env_id, steps, episodes):
    emulator, reference = Emulator(game), ReferenceGame(env_id)
    assert emulator.settings["actions"].split() == reference.meanings
    for noops in (1, 30) if game == "breakout" else (7,):
        assert play_both(emulator, reference, noops=noops, steps=steps) >= episodes


def test_colour_frames_are_the_maximum_of_two_rgb_screens():
    emulator, reference = Emulator("mspacman", "rgb"), ReferenceGame("MsPacmanNoFrameskip-v4")
    assert play_both(emulator, reference, noops=3, steps=300) >= 2


@pytest.mark.parametrize(
    ("game", "env_id", "variation"),
    [
        ("breakout", "BreakoutNoFrameskip-v4", {"mode": 12}),  # steerable
        ("spaceinvaders", "SpaceInvadersNoFrameskip-v4", {"mode": 9, "difficulty": 1}),
        ("pong", "PongNoFrameskip-v4", {"difficulty": 3}),
    ],
)
def test_other_modes_and_difficulties_are_gymnasium_s(game, env_id, variation):
    emulator, reference = Emulator(game, **variation), ReferenceGame(env_id, **variation)
    assert emulator.settings.items() >= variation.items()
    play_both(emulator, reference, noops=5, steps=300)
    usual = Emulator(game)
    assert not {"mode", "difficulty"} & set(usual.settings)
    with pytest.raises(AssertionError):  # another game than the usual one
        play_both(usual, reference, noops=5, steps=300)


@pytest.mark.parametrize(
    ("game", "environment", "env_id", "steps", "episodes"),
    [
        ("pong", "challenge", "PongNoFrameskip-v4", 200, 1),
        ("breakout", "challenge", "BreakoutNoFrameskip-v4", 1000, 5),
        ("pong", "challenge-v0", "Pong-v0", 600, 1),  # a whole game
        ("breakout", "challenge-v0", "Breakout-v0", 1000, 5),
    ],
)
def test_the_report_s_environments_are_gymnasium_s_without_fire(
    game, environment, env_id, steps, episodes
):
    """With Gymnasium's and ALE's own draws, the game is the same frame by frame."""
    emulator = Emulator(game, environment=environment)
    reference = ReferenceGame(env_id, fire=False)
    assert emulator.settings["environment"] == environment
    assert emulator.settings["start_actions"] == ""
    for noops in (1, 30):
        assert play_both(emulator, reference, noops=noops, steps=steps) >= episodes


def test_an_unknown_environment_is_refused():
    with pytest.raises(ConfigurationError, match="'v1' is unknown: choose from paper, challenge"):
        Emulator("pong", environment="v1")


@pytest.mark.parametrize(
    ("variation", "message"),
    [
        ({"mode": 3}, "breakout has no mode 3: choose from 0, 4, 8"),
        ({"difficulty": 2}, "breakout has no difficulty 2: choose from 0, 1$"),
    ],
)
def test_a_mode_that_a_game_has_not(variation, message):
    with pytest.raises(ConfigurationError, match=message):
        Emulator("breakout", **variation)


def test_the_frame_limit_truncates_and_ends_the_game(monkeypatch):
    assert emulator_module.MAX_GAME_FRAMES == 108_000
    monkeypatch.setattr(emulator_module, "MAX_GAME_FRAMES", 203)  # ends within a step
    emulator = Emulator("freeway")
    reference = ReferenceGame("FreewayNoFrameskip-v4", max_num_frames_per_episode=203)
    play_both(emulator, reference, noops=2, steps=100)
    assert emulator.truncated
    assert not emulator.terminated
    assert not emulator.next_episode()


@pytest.mark.parametrize("game", ["seaquest", "tennis", "yarsrevenge", "hero", "qbert"])
def test_a_game_does_not_depend_on_the_games_before_it(game):
    def trace(emulator: Emulator) -> list[bytes]:
        rng = np.random.default_rng(1)
        emulator.new_game(noops=4)
        seen = []
        for _ in range(100):
            emulator.step(int(rng.integers(emulator.n_actions)))
            seen.append(emulator.frame.tobytes() + emulator.ram.tobytes())
        return seen

    used = Emulator(game)
    rng = np.random.default_rng(2)
    for noops in (3, 11):
        used.new_game(noops=noops)
        for _ in range(400):
            used.step(int(rng.integers(used.n_actions)))
    assert trace(used) == trace(Emulator(game))


@pytest.mark.parametrize("game", games("upstream"))
def test_every_annotated_game_can_be_played(game):
    emulator = Emulator(game)  # also compares the palette with the emulator's
    emulator.new_game(noops=1)
    first = emulator.frame.copy()
    for step in range(40):
        emulator.step(1 + step % (emulator.n_actions - 1))
    assert emulator.settings["actions"].split()[0] == "NOOP"
    assert emulator.frame.std() > 0
    assert (first != emulator.frame).any()


def test_an_unknown_game_is_refused():
    with pytest.raises(ConfigurationError, match="did you mean 'pong'"):
        Emulator("ponk")
