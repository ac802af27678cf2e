"""The convolutional network of an agent that was trained to play."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from lightning_stdim.datamodules.policies.agent import VIEW, read_actor
from lightning_stdim.encoders.area_resize import AreaResize
from lightning_stdim.encoders.base import FRAME_HEIGHT, FRAME_WIDTH, LocalGlobalEncoder


class AgentEncoder(LocalGlobalEncoder):
    """The features of a Nature actor, on four successive 210x160 frames.

    What the actor computes its actions from: its view, convolutions 32@8x8/4, 64@4x4/2 and
    64@3x3/1 and a linear layer, each with ReLU. The *local map* is the second convolution's output,
    [B, 64, 9, 9].

    Source: Mnih et al. 2015; PRETRAINED-RL-AGENT of Anand et al. 2019 (arXiv 1906.08226). At the
    beginning of an episode the first frame stands in for those before it, where the agent itself
    sees zeros.

    Args:
        path: the agent's file
            (:func:`~lightning_stdim.datamodules.policies.agent.read_actor`). Without one the
            weights are random, for a checkpoint's to take their place.
        feature_dim: number D of features, where no file tells.

    Raises:
        EncoderError: the file holds something else than a Nature actor.
        StoreError: the file is missing or damaged.
    """

    def __init__(self, path: str | None = None, feature_dim: int = 512) -> None:
        weights = [] if path is None else read_actor(Path(path))[:-1]  # without the actions
        if weights:
            feature_dim = len(weights[-1][1])
        super().__init__(VIEW[0], feature_dim, resize=None)
        self.local_channels = 64
        self.local_layers = nn.Sequential(
            _View(),
            nn.Conv2d(self.in_channels, 32, 8, stride=4),
            nn.ReLU(inplace=True),
            nn.Conv2d(32, self.local_channels, 4, stride=2),
            nn.ReLU(),  # not in place: its output is the local map
        )
        self.global_layers = nn.Sequential(
            nn.Conv2d(self.local_channels, 64, 3, stride=1),
            nn.ReLU(inplace=True),
            nn.Flatten(),
            nn.Linear(64 * 7 * 7, feature_dim),
            nn.ReLU(inplace=True),
        )
        layers = [part for part in self.modules() if isinstance(part, nn.Conv2d | nn.Linear)]
        for layer, (weight, bias) in zip(layers, weights, strict=False):
            layer.weight.data, layer.bias.data = weight, bias  # type: ignore[union-attr]
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


class _View(AreaResize):
    """Frames of 84x84 as the agent saw them: OpenCV's area interpolation, rounded to bytes."""

    def __init__(self) -> None:
        super().__init__((FRAME_HEIGHT, FRAME_WIDTH), VIEW[1:])

    def forward(self, frames: Tensor) -> Tensor:
        """Scaled frames, float [B, 4, 210, 160], to scaled views, float [B, 4, 84, 84]."""
        return (255 * super().forward(frames)).round() / 255
