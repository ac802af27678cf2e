"""A game small enough to probe in a test: two numbers, written as bright spots into each frame."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lightning_stdim.datamodules.batches import ProbeData

HEIGHT, WIDTH = 6, 8


class Shift(nn.Module):
    """Flattened pixels through a fixed random matrix; dropout and batch norm notice misuse."""

    def __init__(self, feature_dim: int = 12, seed: int = 0) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.linear = nn.Linear(HEIGHT * WIDTH, feature_dim)
        self.linear.weight.data = torch.randn(feature_dim, HEIGHT * WIDTH, generator=generator) / 7
        self.linear.bias.data.zero_()
        self.norm = nn.BatchNorm1d(feature_dim)
        self.dropout = nn.Dropout(0.5)

    def forward(self, frames: Tensor) -> Tensor:
        pixels = frames.flatten(1).float() / 255
        out: Tensor = self.dropout(self.norm(self.linear(pixels)))
        return out


def game(n: int = 300, seed: int = 0) -> ProbeData:
    generator = torch.Generator().manual_seed(seed)
    labels = torch.stack(
        [torch.randint(k, (n,), generator=generator) for k in (WIDTH, HEIGHT, 2)], dim=1
    )
    frames = torch.randint(0, 60, (n, HEIGHT, WIDTH), dtype=torch.uint8, generator=generator)
    frames[torch.arange(n), 0, labels[:, 0]] = 255
    frames[torch.arange(n), labels[:, 1], 0] = 200
    frames[:, 5, 7] = (labels[:, 2] * 100).byte()
    labels[:, 0] = labels[:, 0] * 30 + 5
    train, val = int(0.6 * n), int(0.8 * n)
    return ProbeData(
        game="pong",
        label_set="paper",
        variables=("x", "y", "keys"),
        categories={"x": ("agent_localization",), "y": ("agent_localization",), "keys": ()},
        dropped={"z": "entropy 0.1 < 0.6"},
        frames=frames,
        labels=labels,
        splits={
            "train": torch.arange(0, train),
            "val": torch.arange(train, val),
            "test": torch.arange(val, n - 3),
        },
        provenance={"frames": {"train": train}, "episode_start": [0, 40, 100, train, val]},
    )
