"""RANDOM-CNN: the baseline that learns nothing."""

from __future__ import annotations

from lightning_stdim.methods.frozen import FrozenMethod


class RandomCNN(FrozenMethod):
    """The encoder at its initialisation, frozen.

    Source: Anand et al. 2019 (arXiv 1906.08226), section 5.
    """

    name = "random-cnn"
