"""Agents' files against Stable-Baselines3 itself: the same view, the same actions."""

import io
import pickle
import zipfile
from itertools import islice
from pathlib import Path

import gymnasium
import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from stable_baselines3 import DQN, PPO
from stable_baselines3.common.env_util import make_atari_env
from stable_baselines3.common.vec_env import VecFrameStack

from lightning_stdim.datamodules.atari import AtariDataModule
from lightning_stdim.datamodules.collection.collect import collect
from lightning_stdim.datamodules.collection.game import play
from lightning_stdim.datamodules.collection.settings import CollectionSettings
from lightning_stdim.datamodules.emulator.emulator import Emulator
from lightning_stdim.datamodules.policies.agent import LAYOUTS, load_agent, with_agent_preprocessing
from lightning_stdim.datamodules.store.hdf5 import read
from lightning_stdim.errors import ConfigurationError, EncoderError, StoreError
from tests.datamodules.policies.test_settings import decisions, views


class Screens(gymnasium.Env):
    """Pong's spaces, and nothing else of it."""

    observation_space = gymnasium.spaces.Box(0, 255, (84, 84, 4), np.uint8)
    action_space = gymnasium.spaces.Discrete(6)


@pytest.fixture(scope="module")
def ppo() -> PPO:
    model = PPO("CnnPolicy", Screens(), n_steps=2, batch_size=2, device="cpu", seed=1)
    # An untrained one decides the same everywhere: make it as decided as a trained one, but in
    # favour of other actions for other frames.
    seen = []
    playing = with_agent_preprocessing(
        lambda n, rng: lambda view: seen.append(view.copy()) or len(seen) % n
    )
    emulator = Emulator("pong")
    for _ in islice(play(emulator, playing, seed=0), 300):
        pass
    policy = model.policy
    with torch.no_grad():
        views = torch.from_numpy(np.stack(seen))
        logits = policy.action_net(policy.extract_features(views, policy.pi_features_extractor))
        scale = 2 / logits.std(0).mean()
        policy.action_net.weight.mul_(scale)
        policy.action_net.bias.copy_(-scale * logits.mean(0))
    return model


@pytest.fixture(scope="module")
def agent(ppo, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("agent") / "ppo.zip"
    ppo.save(path)
    return path


def test_the_view_is_that_of_stable_baselines3():
    """The same actions in its Atari environment; five lives, so five beginnings."""
    seen, actions = [], []

    def playing(n_actions, rng):
        def act(view):
            seen.append(view.copy())
            actions.append(int(rng.integers(n_actions)))
            return actions[-1]

        return act

    seed = 5
    for _ in play(Emulator("breakout"), with_agent_preprocessing(playing), seed):
        pass
    env = VecFrameStack(make_atari_env("BreakoutNoFrameskip-v4"), 4)
    wrapper = env.venv.envs[0]
    while not hasattr(wrapper, "override_num_noops"):
        wrapper = wrapper.env
    wrapper.override_num_noops = int(np.random.default_rng(seed).integers(1, 31))
    observation = env.reset()
    lives = 0
    for view, action in zip(seen, actions, strict=True):
        np.testing.assert_array_equal(view, observation[0].transpose(2, 0, 1))
        observation, _, done, _ = env.step([action])
        lives += int(done[0])
    assert lives == 5


def test_a_greedy_agent_plays_what_stable_baselines3_would(ppo, agent, tmp_path):
    collection = read(
        collect(
            CollectionSettings("pong", steps=200, policy=str(agent), greedy=True),
            root=tmp_path,
            progress=False,
        )
    )
    rows = decisions(collection)
    expected, _ = ppo.predict(views(collection)[rows], deterministic=True)
    np.testing.assert_array_equal(collection.actions[rows + 1], expected)
    assert len(set(expected.tolist())) > 1


def test_a_sampled_agent_follows_its_distribution(ppo, agent, tmp_path):
    path = collect(
        CollectionSettings("pong", steps=1500, policy=str(agent)), root=tmp_path, progress=False
    )
    collection = read(path)
    rows = decisions(collection)
    seen = torch.from_numpy(views(collection)[rows])
    with torch.no_grad():
        p = ppo.policy.get_distribution(seen).distribution.probs.double().numpy()  # [n, 6]
    taken = np.eye(6)[collection.actions[rows + 1]]
    deviation = (taken - p).sum(0) / np.sqrt((p * (1 - p)).sum(0))  # standard normal each
    assert np.abs(deviation).max() < 4
    assert p.max(1).mean() < 0.9  # there was something to draw


def test_where_an_agent_s_file_is_does_not_matter(agent, tmp_path, monkeypatch):
    absolute = CollectionSettings("pong", steps=40, policy=str(agent))
    one = collect(absolute, root=tmp_path / "1", progress=False)
    monkeypatch.chdir(agent.parent)
    relative = CollectionSettings("pong", steps=40, policy=f"./{agent.name}")
    two = collect(relative, root=tmp_path / "2", progress=False)
    assert one.name == two.name
    assert one.read_bytes() == two.read_bytes()


def test_a_file_that_cannot_play_is_one_message_and_no_folder(agent, tmp_path):
    damaged = tmp_path / "damaged.zip"
    damaged.write_bytes(agent.read_bytes()[:1000])
    other = tmp_path / "other.pt"
    torch.save({"fc.weight": torch.zeros(2, 2)}, other)
    for game, path, kind, message in (
        ("pong", damaged, StoreError, "damaged.zip is damaged or holds no policy"),
        ("pong", other, EncoderError, "other.pt holds other layers"),
        ("breakout", agent, ConfigurationError, "ppo.zip has 6 actions and the game's minimal"),
    ):
        root = tmp_path / "data"
        with pytest.raises(kind, match=message) as error:
            collect(CollectionSettings(game, steps=40, policy=path), root=root, progress=False)
        assert "worker" not in str(error.value)
        assert not [path for path in root.iterdir() if path.suffix != ".lock"]


def test_a_run_does_not_go_on_with_another_agent(agent, tmp_path):
    own = tmp_path / "own.zip"
    own.write_bytes(agent.read_bytes())
    data = AtariDataModule("pong", policy=str(own), root=str(tmp_path))
    state = data.state_dict()
    data.load_state_dict(state)
    with zipfile.ZipFile(own, "a") as archive:
        archive.writestr("more", "")
    with pytest.raises(ConfigurationError, match="has changed: the checkpoint's run had its file"):
        data.load_state_dict(state)


def test_workers_do_not_change_what_an_agent_does(agent, tmp_path):
    settings = CollectionSettings("pong", steps=300, policy=str(agent), epsilon=0.2)
    one = collect(settings, workers=1, root=tmp_path / "1", progress=False)
    two = collect(settings, workers=2, root=tmp_path / "2", progress=False)
    assert one.read_bytes() == two.read_bytes()


def actions_of(path: Path) -> list[int]:
    rng = np.random.default_rng(0)
    policy = load_agent(path)(6, rng)
    frames = np.random.default_rng(1).integers(0, 256, (20, 210, 160), dtype=np.uint8)
    return [policy(lambda frame=frame: frame, row == 0) for row, frame in enumerate(frames)]


def test_every_kind_of_file_is_the_same_agent(ppo, agent, tmp_path):
    state = ppo.policy.state_dict()
    torch.save(state, tmp_path / "state.pt")
    names = dict(zip(LAYOUTS["Stable-Baselines3"], LAYOUTS["CleanRL"], strict=True))
    clean = {
        f"{names[layer]}.{part}": state[f"{layer}.{part}"].contiguous()
        for layer in names
        for part in ("weight", "bias")
    }
    save_file(clean, tmp_path / "clean.safetensors")
    expected = actions_of(agent)
    assert len(set(expected)) > 1
    assert actions_of(tmp_path / "state.pt") == expected
    assert actions_of(tmp_path / "clean.safetensors") == expected


class Bomb:
    def __reduce__(self):
        return (pytest.fail, ("a pickle was executed",))


def test_nothing_is_unpickled(agent, tmp_path):
    with zipfile.ZipFile(agent) as archive:
        weights = archive.read("policy.pth")
    with zipfile.ZipFile(tmp_path / "data.zip", "w") as archive:
        archive.writestr("policy.pth", weights)
        archive.writestr("data", pickle.dumps(Bomb()))
    assert actions_of(tmp_path / "data.zip") == actions_of(agent)
    bomb = io.BytesIO()
    torch.save({"weights": Bomb()}, bomb)
    with zipfile.ZipFile(tmp_path / "weights.zip", "w") as archive:
        archive.writestr("policy.pth", bomb.getvalue())
    with pytest.raises(EncoderError, match=r"holds more than tensors .* state_dict\(\) alone"):
        load_agent(tmp_path / "weights.zip")


def test_a_file_of_another_kind_is_refused(ppo, agent, tmp_path):
    def saved(state: object) -> Path:
        torch.save(state, tmp_path / "state.pth")
        return tmp_path / "state.pth"

    state = dict(ppo.policy.state_dict())
    with pytest.raises(
        EncoderError, match=r"other layers \(fc.weight\). Wanted is the actor of PPO"
    ):
        load_agent(saved({"fc.weight": torch.zeros(2, 2)}))
    for nested in ("state_dict", "model"):
        with pytest.raises(
            EncoderError, match=rf"too deep, in \['{nested}'\]: save the state dict"
        ):
            load_agent(saved({nested: state, "epoch": 3}))
    with pytest.raises(EncoderError, match="holds a list, not a state dict"):
        load_agent(saved([1]))
    with pytest.raises(EncoderError, match=r"layers of shapes \[\(32, 1, 8, 8\)"):
        load_agent(saved(state | {"pi_features_extractor.cnn.0.weight": torch.zeros(32, 1, 8, 8)}))
    with pytest.raises(EncoderError, match="weights that are not finite"):
        load_agent(saved(state | {"action_net.bias": torch.full((6,), torch.nan)}))
    with pytest.raises(EncoderError, match="layers that are not tensors"):
        load_agent(saved(state | {"action_net.bias": 3}))
    with pytest.raises(EncoderError, match="layers between Nature's features and the actions"):
        load_agent(saved(state | {"mlp_extractor.policy_net.0.weight": torch.zeros(64, 512)}))
    with pytest.raises(ConfigurationError, match=r"has 6 actions and the game's .* action set 4"):
        load_agent(agent)(4, np.random.default_rng(0))
    (tmp_path / "cut.zip").write_bytes(agent.read_bytes()[:1000])
    with pytest.raises(StoreError, match="is damaged or holds no policy"):
        load_agent(tmp_path / "cut.zip")
    DQN("CnnPolicy", Screens(), buffer_size=1, device="cpu").save(tmp_path / "dqn.zip")
    with pytest.raises(EncoderError, match=r"holds a DQN: .* Wanted is the actor of PPO or A2C"):
        load_agent(tmp_path / "dqn.zip")
