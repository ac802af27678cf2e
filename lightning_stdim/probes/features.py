"""Cached features with their labels: what the probes of a frozen encoder are trained on."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from lightning_stdim.datamodules.batches import Split
from lightning_stdim.errors import ConfigurationError


@dataclass(frozen=True)
class ProbeFeatures:
    """Features and labels of the three splits, on one device.

    Attributes:
        variables: names of the V variables, in column order.
        features: for each split float32 [n, D].
        labels: for each split int64 [n, V], values 0 to 255.
        episodes: for each split int64 [n], a number that frames of the same episode share;
            ascending. None if it is not known.
    """

    variables: tuple[str, ...]
    features: dict[Split, Tensor]
    labels: dict[Split, Tensor]
    episodes: dict[Split, Tensor] | None = None

    def mean_and_std(self) -> tuple[Tensor, Tensor]:
        """Compute mean and deviation of the features on the training split.

        A feature that varies by no more than float32's own resolution (such as that of a unit that
        is never active) is dead. It gets an infinite deviation, so that it is zero when
        standardised, instead of rounding errors blown up to the size of a signal.

        Returns:
            Mean and population deviation, float64 [D] each.
        """
        train = self.features["train"].double()
        deviation, mean = torch.std_mean(train, dim=0, correction=0)
        dead = deviation <= 1e-6 * train.abs().amax(0)
        return mean, deviation.masked_fill(dead, torch.inf)

    def standardized(self) -> ProbeFeatures:
        """Shift and scale the features to mean 0 and deviation 1 on the training split."""
        mean, deviation = self.mean_and_std()
        features = {
            split: ((values - mean) / deviation).float() for split, values in self.features.items()
        }
        return replace(self, features=features)

    def draw_by_episode(self, split: Split, generator: torch.Generator) -> Tensor:
        """Draw as many frames as there are: an episode uniformly, then one of its frames.

        Args:
            split: where from.
            generator: on the CPU.

        Returns:
            int64 [n], positions in the split, with repetitions.

        Raises:
            ConfigurationError: if the episodes are not known.
        """
        if self.episodes is None:
            raise ConfigurationError(
                'sampling="episodes" needs the episodes\' first frames: '
                'ProbeData.provenance["episode_start"]'
            )
        _, lengths = torch.unique_consecutive(self.episodes[split].cpu(), return_counts=True)
        total = int(lengths.sum())
        episode = torch.randint(len(lengths), (total,), generator=generator)
        within = torch.rand(total, generator=generator, dtype=torch.float64) * lengths[episode]
        first = lengths.cumsum(0) - lengths
        drawn: Tensor = first[episode] + within.long()
        return drawn
