"""Who plays: held against the actions and frames that a collection records."""

import textwrap
from pathlib import Path

import cv2
import numpy as np
import pytest

from lightning_stdim.datamodules.collection import collect as collect_module
from lightning_stdim.datamodules.collection.collect import collect
from lightning_stdim.datamodules.collection.settings import CollectionSettings
from lightning_stdim.datamodules.policies.random_play import STICKINESS, sticky_random_policy
from lightning_stdim.datamodules.policies.settings import PolicySettings
from lightning_stdim.datamodules.policies.types import MakePolicy
from lightning_stdim.datamodules.store.collection import Collection
from lightning_stdim.datamodules.store.hdf5 import read
from lightning_stdim.errors import ConfigurationError, LightningStdimError

N = 6


def observe():
    raise AssertionError("these policies need no frame, and making one takes time")


def views(collection: Collection) -> np.ndarray:
    """What an agent saw at each row: [N, 4, 84, 84]."""
    small = np.stack([cv2.resize(f, (84, 84), interpolation=3) for f in collection.frames])
    seen = np.zeros((len(small), 4, 84, 84), np.uint8)
    for start, length in zip(collection.episode_start, collection.episode_length, strict=True):
        for row in range(start, start + length):
            for back in range(min(4, row - start + 1)):
                seen[row, 3 - back] = small[row - back]
    return seen


def decisions(collection: Collection) -> np.ndarray:
    """Rows from which an action was taken: all but the last ones of episodes."""
    ends = collection.episode_start + collection.episode_length - 1
    return np.setdiff1d(np.arange(len(collection)), ends)


def shares(make: MakePolicy, draws: int = 20_000) -> np.ndarray:
    policy = make(N, np.random.default_rng(0))
    actions = [policy(observe, False) for _ in range(draws)]
    return np.bincount(actions, minlength=N) / draws


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    """The current folder, with a module of policies in it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "players.py").write_text(
        textwrap.dedent("""
            import gymnasium  # workers must not stand in a policy's way

            def by_what_it_sees(n_actions, rng):
                return lambda view: int(view.astype(int).sum()) % n_actions

            def fractions(n_actions, rng):
                return lambda view: 0.5

            def too_many(n_actions, rng):
                return lambda view: n_actions

            def broken(n_actions, rng):
                return lambda view: {}["key"]

            def moody(n_actions, rng):
                import os, random
                calls = iter(range(10**6))

                def act(view):
                    if next(calls) == 90 and os.path.exists("stop"):
                        raise RuntimeError("enough")
                    return random.randrange(n_actions)

                return act

            constant = 3
        """)
    )
    (tmp_path / "half_done.py").write_text("import numpy\n1 / 0\n")
    return tmp_path


def test_sticky_random_repeats_and_never_waits():
    policy = sticky_random_policy(N, np.random.default_rng(0))
    actions = np.array([policy(observe, False) for _ in range(20_000)])
    counts = np.bincount(actions, minlength=N)
    assert counts[0] == 0
    np.testing.assert_allclose(counts[1:] / len(actions), 1 / (N - 1), atol=0.02)
    repeated = (actions[1:] == actions[:-1]).mean()
    assert repeated == pytest.approx(STICKINESS + (1 - STICKINESS) / (N - 1), abs=0.015)


def test_an_episode_does_not_begin_with_the_last_one_s_action():
    policy = sticky_random_policy(N, np.random.default_rng(0))
    actions = np.array([policy(observe, True) for _ in range(20_000)])
    assert (actions[1:] == actions[:-1]).mean() == pytest.approx(1 / (N - 1), abs=0.015)


def test_epsilon_replaces_that_share_by_uniform_actions():
    make = PolicySettings(policy="random", epsilon=0.3).load()
    expected = np.full(N, 0.7 / (N - 1) + 0.3 / N)
    expected[0] = 0.3 / N
    np.testing.assert_allclose(shares(make), expected, atol=0.012)


def test_epsilon_1_is_uniform():
    np.testing.assert_allclose(shares(PolicySettings(epsilon=1).load()), 1 / N, atol=0.012)


def test_a_policy_of_one_s_own_sees_what_is_recorded(here):
    """Five lives and some games: the actions follow from the recorded frames alone."""
    path = collect(
        CollectionSettings("breakout", steps=300, policy="players:by_what_it_sees"),
        root=here,
        progress=False,
    )
    collection = read(path)
    assert len(collection.episode_start) > 2
    rows = decisions(collection)
    expected = views(collection)[rows].astype(int).sum((1, 2, 3)) % 4
    np.testing.assert_array_equal(collection.actions[rows + 1], expected)
    assert collection.attributes["policy"] == "players:by_what_it_sees"


def test_the_file_s_name_and_attributes_tell_policies_apart(here):
    def collected(**policy) -> Path:
        return collect(CollectionSettings("pong", steps=40, **policy), root=here, progress=False)

    first = collected(policy="players:by_what_it_sees", epsilon=0.2)
    attributes = read(first).attributes
    assert attributes["epsilon"] == 0.2
    assert len(attributes["policy_sha256"]) == 64
    assert attributes["command"].endswith("--policy players:by_what_it_sees --epsilon 0.2")
    with (here / "players.py").open("a") as file:
        file.write("# another version\n")
    others = [
        collected(policy="players:by_what_it_sees", epsilon=0.2),
        collected(policy="players:by_what_it_sees"),
        collected(policy="sticky-random"),
        collected(),
    ]
    assert len({first, *others}) == 5
    assert read(others[0]).attributes["policy_sha256"] != attributes["policy_sha256"]
    assert (others[2].name, others[3].name) == (
        "pong-sticky-random-seed0-40.h5",
        "pong-random-seed0-40.h5",
    )


def test_the_mean_return_is_over_whole_games(here):
    collection = read(collect(CollectionSettings("breakout", steps=700), root=here, progress=False))
    games = list(dict.fromkeys(collection.episode_seed.tolist()))[:-1]
    returns = [
        sum(
            collection.rewards[start : start + length].sum()
            for start, length, seed in zip(
                collection.episode_start,
                collection.episode_length,
                collection.episode_seed,
                strict=True,
            )
            if seed == game
        )
        for game in games
    ]
    assert len(games) > 1
    assert sum(returns) > 0
    assert collection.attributes["mean_return"] == pytest.approx(np.mean(returns))
    short = read(collect(CollectionSettings("breakout", steps=20), root=here, progress=False))
    assert "mean_return" not in short.attributes
    # One that ends with a game does not leave that game out.
    first = collection.episode_length[collection.episode_seed == games[0]].sum()
    exact = read(
        collect(CollectionSettings("breakout", steps=int(first)), root=here, progress=False)
    )
    assert exact.attributes["mean_return"] == pytest.approx(returns[0])


def test_a_policy_that_does_not_repeat_itself_cannot_be_gone_on_with(here, monkeypatch):
    monkeypatch.setattr(collect_module, "SEGMENT_ROWS", 16)
    settings = CollectionSettings("pong", steps=200, policy="players:moody")
    (here / "stop").touch()
    with pytest.raises(ConfigurationError, match="RuntimeError: enough"):
        collect(settings, root=here, progress=False)
    (here / "stop").unlink()
    with pytest.raises(ConfigurationError, match="'players:moody' does not always do the same"):
        collect(settings, root=here, progress=False)
    assert not list(here.glob("*.h5"))


def test_neighbouring_epsilons_have_files_of_their_own():
    labels = {PolicySettings(epsilon=e).label() for e in (0.2, 0.2000001, 0.1234561, 0.1234562)}
    assert len(labels) == 4
    assert PolicySettings(epsilon=0.2).label() == "random-eps0.2"


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"policy": "best"}, r"policy 'best' is unknown: choose one of random, sticky-random, an"),
        ({"policy": "agent.zip"}, "there is no policy agent.zip"),
        ({"policy": "nowhere:play"}, "there is no file of a module 'nowhere'"),
        ({"policy": "players:missing"}, "'players:missing' cannot be imported: AttributeError"),
        (
            {"policy": "half_done:play"},
            r"cannot be imported: ZeroDivisionError: .*half_done.py:2\)",
        ),
        ({"policy": "players:constant"}, "is a int, not a callable"),
        ({"policy": "players:fractions"}, r"returned 0.5: an action is an integer in 0..5"),
        ({"policy": "players:too_many"}, r"returned 6: an action is an integer in 0..5"),
        (
            {"policy": "players:broken"},
            r"'players:broken' failed: KeyError: 'key' \(players.py:14\)",
        ),
        ({"epsilon": 1.5}, r"epsilon=1.5 must lie in 0..1"),
        ({"greedy": True}, "greedy is for an agent's file; policy is 'random'"),
    ],
)
def test_wrong_input_is_one_clear_message(here, wrong, message):
    def collect_it() -> None:
        settings = CollectionSettings("pong", steps=10, **wrong)
        collect(settings, root=here / "data", progress=False)

    with pytest.raises(LightningStdimError, match=message) as error:
        collect_it()
    assert "worker" not in str(error.value)
    assert not list((here / "data").glob("*.h5"))
    assert isinstance(error.value, ConfigurationError) or "agent.zip" in wrong["policy"]
