"""An agent's features against Stable-Baselines3's own, on the view that OpenCV makes."""

import cv2
import gymnasium
import numpy as np
import pytest
import torch
from stable_baselines3.common.torch_layers import NatureCNN
from torch import nn

from lightning_stdim.datamodules.atari import AtariDataModule
from lightning_stdim.datamodules.policies.agent import read_actor
from lightning_stdim.encoders import AgentEncoder, build_encoder
from lightning_stdim.errors import EncoderError, StoreError


@pytest.fixture(scope="module")
def features():
    torch.manual_seed(0)
    made = NatureCNN(gymnasium.spaces.Box(0, 255, (4, 84, 84), np.uint8), features_dim=7)
    for layer in made.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):  # or its biases outweigh what it sees
            nn.init.orthogonal_(layer.weight, gain=2)
    return made


@pytest.fixture(scope="module")
def agent(features, tmp_path_factory):
    actor = nn.ModuleDict({"features_extractor": features, "action_net": nn.Linear(7, 6)})
    path = tmp_path_factory.mktemp("agent") / "actor.pt"
    torch.save(actor.state_dict(), path)
    return path


def views_of(frames):
    """Bytes [B, 4, 84, 84] as an agent sees them."""
    flat = frames.flatten(0, 1).numpy()
    small = [cv2.resize(frame, (84, 84), interpolation=cv2.INTER_AREA) for frame in flat]
    return torch.from_numpy(np.stack(small)).unflatten(0, frames.shape[:2])


def test_features_are_the_agent_s(agent, features, small):
    frames = AtariDataModule("pong", **small).probe_data().frames[torch.arange(100, 1700, 100)]
    stacks = frames.unflatten(0, (4, 4))
    encoder = AgentEncoder(str(agent))
    views = encoder.local_layers[0](encoder.scaled(stacks))
    torch.testing.assert_close(views * 255, views_of(stacks).float(), rtol=0, atol=1e-3)
    with torch.no_grad():
        expected = features(views_of(stacks) / 255)
        torch.testing.assert_close(encoder(stacks), expected, rtol=1e-4, atol=1e-5)
    assert expected.std(0).max() > 0.01  # not the same for all frames


def test_noise_is_seen_as_by_the_agent_but_for_ties(agent):
    """Where an average is half-way between two bytes, its rounding is a matter of chance."""
    frames = torch.randint(0, 256, (2, 4, 210, 160)).byte()
    encoder = AgentEncoder(str(agent))
    views = encoder.local_layers[0](encoder.scaled(frames)) * 255
    difference = (views - views_of(frames)).abs().round()
    assert difference.max() <= 1
    assert difference.mean() < 0.01


def test_weights_are_all_it_takes(agent):
    encoder = AgentEncoder(str(agent))
    again = build_encoder("lightning_stdim.encoders.AgentEncoder", {"feature_dim": 7})
    again.load_state_dict(encoder.state_dict())
    frames = torch.randint(0, 256, (2, 4, 210, 160)).byte()
    assert torch.equal(encoder(frames), again(frames))
    values = [value for pair in read_actor(agent)[:-1] for value in pair]
    assert sum(map(torch.numel, values)) == sum(map(torch.numel, encoder.state_dict().values()))


def test_wrong_input_is_named(agent, tmp_path):
    with pytest.raises(StoreError, match=r"no policy .*missing\.zip"):
        AgentEncoder(str(tmp_path / "missing.zip"))
    torch.save({"fc.weight": torch.zeros(2, 2)}, tmp_path / "other.pt")
    with pytest.raises(EncoderError, match=r"other\.pt"):
        AgentEncoder(str(tmp_path / "other.pt"))
    with pytest.raises(EncoderError, match=r"AgentEncoder takes uint8 frames \[B, 4, 210, 160\]"):
        AgentEncoder(str(agent))(torch.zeros(2, 1, 210, 160).byte())
