"""RANDOM-CNN: the baseline of an untrained encoder."""

from __future__ import annotations

from lightning_stdim.methods.frozen import FrozenMethod


class RandomCNN(FrozenMethod):
    """A frozen encoder with its random initial weights.

    Source: Anand et al. 2019 (arXiv 1906.08226), section 5.
    """

    name = "random-cnn"
