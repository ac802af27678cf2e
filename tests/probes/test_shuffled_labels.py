from __future__ import annotations

import pytest
import torch

from lightning_stdim.probes.evaluate import encode_splits
from lightning_stdim.probes.shuffled_labels import shuffled_labels
from tests.probes.games import Shift, game


def test_the_control_has_the_probes_capacity() -> None:
    """A strongly regularised probe of nothing is majority; a weak one guesses by frequency."""
    data = game(400)
    data.labels[:, 2] = (torch.rand(400, generator=torch.Generator().manual_seed(0)) < 0.3).long()
    features = encode_splits(Shift(feature_dim=48), data)
    test = data.labels[data.splits["test"], 2]

    def accuracy(strength: float) -> float:
        strengths = dict.fromkeys(data.variables, strength)
        value: float = shuffled_labels(features, data, strengths)["accuracy"]["variables"]["keys"]
        return value

    assert accuracy(1e2) == pytest.approx((test == 0).double().mean().item())
    assert accuracy(1e-6) < accuracy(1e2) - 0.05
