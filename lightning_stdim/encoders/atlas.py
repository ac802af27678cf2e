"""The encoder of DIM-UA, whose vector is one of several charts of an atlas."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from lightning_stdim.encoders.base import LocalGlobalEncoder
from lightning_stdim.encoders.layers import Float32Linear
from lightning_stdim.encoders.nature import NatureEncoder
from lightning_stdim.errors import ConfigurationError


class UnionEncoder(LocalGlobalEncoder):
    """:class:`NatureEncoder` with n linear heads, the charts, and a membership that chooses one.

    The membership is a softmax over the charts: how probable each one is for a frame. The global
    vector, which the probes see, is the most probable chart alone.

    Source: Meng et al. 2024 (arXiv 2305.10267); eight charts of 256 are the default of its code.

    Args:
        in_channels: channels of an observation: the number of stacked frames times the channels of
            a frame, 1 for luma and 3 for RGB.
        feature_dim: size of every chart, D.
        resize: height and width that frames are reduced to; by default they stay 210 x 160.
        charts: number of charts, n, at least 1.

    Raises:
        ConfigurationError: a size is out of its range.
    """

    def __init__(
        self,
        in_channels: int = 1,
        feature_dim: int = 256,
        resize: Sequence[int] | None = None,
        charts: int = 8,
    ) -> None:
        super().__init__(in_channels, feature_dim, resize)
        if charts < 1:
            raise ConfigurationError(f"charts={charts} must be at least 1")
        nature = NatureEncoder(in_channels, 1, resize)
        *trunk, linear = nature.global_layers
        assert isinstance(linear, nn.Linear)
        self.local_channels = nature.local_channels
        self.local_layers = nature.local_layers
        atlas = Atlas(linear.in_features, feature_dim, charts)
        self.global_layers = nn.Sequential(*trunk, atlas)
        # Making large charts orthogonal would take half a minute. Random weights of the same size
        # are nearly orthogonal.
        nn.init.normal_(atlas.heads.weight, std=(2 / max(feature_dim, linear.in_features)) ** 0.5)
        for layer in (atlas.heads, atlas.membership):
            nn.init.zeros_(layer.bias)
        nn.init.orthogonal_(atlas.membership.weight, gain=2**0.5)

    def charts(self, local: Tensor) -> tuple[Tensor, Tensor]:
        """Compute all charts and their membership.

        Args:
            local: local maps, float [B, C, H, W].

        Returns:
            The charts, float [B, n, D], and their membership, float [B, n], whose rows sum to 1.
        """
        *trunk, atlas = self.global_layers
        assert isinstance(atlas, Atlas)
        for layer in trunk:
            local = layer(local)
        return atlas.charts(local)


class Atlas(nn.Module):
    """Several linear charts of the same features, and a softmax over them.

    Args:
        inputs: number of features.
        feature_dim: size of a chart, D.
        charts: number of charts, n.
    """

    def __init__(self, inputs: int, feature_dim: int, charts: int) -> None:
        super().__init__()
        self.heads = Float32Linear(inputs, charts * feature_dim)
        self.membership = Float32Linear(inputs, charts)

    def charts(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Compute all charts and their membership.

        Args:
            features: float [B, inputs].

        Returns:
            The charts, float [B, n, D], and their membership, float [B, n], whose rows sum to 1.
        """
        membership = self.membership(features).softmax(1)
        return self.heads(features).unflatten(1, (membership.shape[1], -1)), membership

    def forward(self, features: Tensor) -> Tensor:
        """Compute the most probable chart: float [B, inputs] to float [B, D]."""
        charts, membership = self.charts(features)
        return charts[torch.arange(len(charts), device=charts.device), membership.argmax(1)]
