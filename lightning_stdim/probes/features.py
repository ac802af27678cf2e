"""The features and labels that the probes of a frozen encoder are trained on."""

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
        features: features of each split, float32 [n, D].
        labels: labels of each split, int64 [n, V], values 0 to 255.
        episodes: episode numbers of each split's frames, int64 [n], ascending; None if they are
            not known.
    """

    variables: tuple[str, ...]
    features: dict[Split, Tensor]
    labels: dict[Split, Tensor]
    episodes: dict[Split, Tensor] | None = None

    def mean_and_std(self) -> tuple[Tensor, Tensor]:
        """Compute the mean and standard deviation of the features on the training split.

        A feature is dead if it varies by no more than the resolution of float32, as that of a unit
        that is never active does. Its deviation is infinite, so that it is zero when standardised.
        Otherwise rounding errors would be blown up to the size of a signal.

        Returns:
            Mean and population standard deviation, float64 [D] each.
        """
        train = self.features["train"].double()
        deviation, mean = torch.std_mean(train, dim=0, correction=0)
        dead = deviation <= 1e-6 * train.abs().amax(0)
        return mean, deviation.masked_fill(dead, torch.inf)

    def standardized(self) -> ProbeFeatures:
        """Shift and scale the features to mean 0 and standard deviation 1 on the training split."""
        mean, deviation = self.mean_and_std()
        features = {
            split: ((values - mean) / deviation).float() for split, values in self.features.items()
        }
        return replace(self, features=features)

    def draw_by_episode(self, split: Split, generator: torch.Generator) -> Tensor:
        """Draw as many frames as a split has: an episode uniformly, then one of its frames.

        Args:
            split: the split whose frames are drawn.
            generator: random generator on the CPU.

        Returns:
            Positions in the split, int64 [n], with repetitions.

        Raises:
            ConfigurationError: the episodes are not known.
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
