"""Signs of a collapsing representation, from a few validation batches."""

from __future__ import annotations

from typing import Any

import torch
from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_warn
from torch import Tensor

from lightning_stdim.datamodules.batches import SequenceBatch
from lightning_stdim.errors import ConfigurationError

DEAD = 1e-6
"""A unit whose deviation is at most so much of its largest value is constant but for rounding."""


def effective_rank(features: Tensor) -> float:
    """Compute how many directions the features really use.

    The exponential of the entropy, in nats, of the centred features' normalised singular values.
    1 if all lie on a line, min(n, D) if they spread alike in all directions, 0 if they are all the
    same. Source: Roy & Vetterli 2007, definition 2; as a measure of self-supervised representations
    Garrido et al. 2023 (arXiv 2210.02885), equation 1, who do not centre: a large common mean would
    then pass for a collapse.

    Args:
        features: float [n, D].

    Returns:
        The rank, 0 to min(n, D); not a number where the features are none.
    """
    if not features.isfinite().all():
        return float("nan")
    features = features.double()
    centred = features - features.mean(0)
    values = torch.linalg.svdvals(centred)
    # What is left of equal vectors are rounding errors: no directions.
    if values[0] <= DEAD * features.norm():
        return 0.0
    shares = values / values.sum()
    return float(torch.special.entr(shares).sum().exp())


class RepresentationHealth(Callback):
    """Watch the vectors that the encoder makes of validation frames, and warn of a collapse.

    Logs, every validation epoch:

    * ``health/effective_rank``: see :func:`effective_rank`;
    * ``health/deviation``: the units' standard deviations over the frames, their mean;
    * ``health/dead_units``: the share of units that are constant.

    Args:
        batches: how many validation batches to look at; each costs a forward pass. The effective
            rank is at most their number of frames.
        least_rank: warn, once, when the effective rank is below this.

    Raises:
        ConfigurationError: an argument is out of its range.
    """

    def __init__(self, batches: int = 4, least_rank: float = 2.0) -> None:
        if batches < 1 or least_rank < 0:
            raise ConfigurationError(
                f"batches={batches} must be at least 1 and least_rank={least_rank} at least 0"
            )
        self.batches = batches
        self.least_rank = least_rank
        self._warned = False
        self._vectors: list[Tensor] = []

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: SequenceBatch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Encode the anchors' frames of the first batches."""
        if batch_idx < self.batches:
            self._vectors.append(pl_module(batch.frames[-1]).float())

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Log the signs, and warn if they are bad."""
        vectors = torch.cat(self._vectors)
        self._vectors.clear()
        if trainer.world_size > 1:
            vectors = pl_module.all_gather(vectors).flatten(0, 1)  # type: ignore[union-attr]
        deviation = vectors.std(0, correction=0)
        dead = (deviation <= DEAD * vectors.abs().amax(0)).float().mean()
        rank = effective_rank(vectors)
        pl_module.log_dict(
            {
                "health/effective_rank": rank,
                "health/deviation": deviation.mean(),
                "health/dead_units": dead,
            },
            sync_dist=True,  # they are the same on all ranks; without it Lightning warns
        )
        if rank < self.least_rank and not self._warned:
            self._warned = True
            rank_zero_warn(
                f"the representation has collapsed or is about to: the effective rank of "
                f"{vectors.shape[1]} features on {len(vectors)} validation frames is {rank:.1f}, "
                f"and {dead:.0%} of the units are constant, in epoch {trainer.current_epoch}"
            )
