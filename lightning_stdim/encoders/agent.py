"""The convolutional network of a trained agent."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from lightning_stdim.datamodules.policies.agent import VIEW, read_actor
from lightning_stdim.encoders.area_resize import AreaResize
from lightning_stdim.encoders.base import FRAME_HEIGHT, FRAME_WIDTH, LocalGlobalEncoder


class AgentEncoder(LocalGlobalEncoder):
    """The features from which a Nature actor computes its actions, on four successive frames.

    The frames, 210 x 160, are resized to the agent's view of 84 x 84. Three convolutions
    (32@8x8/4, 64@4x4/2 and 64@3x3/1) and a linear layer follow, each with ReLU. The *local map* is
    the output of the second convolution, [B, 64, 9, 9].

    Source: Mnih et al. 2015; PRETRAINED-RL-AGENT of Anand et al. 2019 (arXiv 1906.08226). At the
    start of an episode, where the agent itself sees zeros, the first frame is repeated.

    Args:
        path: file with the agent, as
            :func:`~lightning_stdim.datamodules.policies.agent.read_actor` takes it. Without it the
            weights are random, to be replaced by those of a checkpoint.
        feature_dim: size of the global vector, D; a file's own size takes precedence.

    Raises:
        EncoderError: the file does not hold a Nature actor.
        StoreError: the file is missing or damaged.
    """

    def __init__(self, path: str | None = None, feature_dim: int = 512) -> None:
        # Without the last layer, which gives the actions.
        weights = [] if path is None else read_actor(Path(path))[:-1]
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
    """Resizing to the agent's view: OpenCV's area interpolation to 84 x 84, rounded to bytes.

    Frames that are not divided by 255, which no agent sees, are rounded more finely.
    """

    def __init__(self) -> None:
        super().__init__((FRAME_HEIGHT, FRAME_WIDTH), VIEW[1:])

    def forward(self, frames: Tensor) -> Tensor:
        """Resize scaled frames, float [B, 4, 210, 160], to float [B, 4, 84, 84]."""
        return (255 * super().forward(frames)).round() / 255
