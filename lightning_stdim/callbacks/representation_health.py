"""Signs of a collapsing representation, measured on a few validation batches."""

from __future__ import annotations

from typing import Any

import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.utilities import rank_zero_warn
from torch import Tensor

from lightning_stdim.datamodules.batches import SequenceBatch
from lightning_stdim.errors import ConfigurationError
from lightning_stdim.utils.eval_mode import evaluating

DEAD = 1e-6
"""A unit is constant up to rounding if its deviation is at most this share of its largest value."""
MANY = 0.5
"""If a larger share of units is constant, ReLUs have died, probably by a high learning rate."""


def effective_rank(features: Tensor) -> float:
    """Compute the number of directions that the features effectively use.

    The exponential of the entropy (in nats) of the normalised singular values of the centred
    features. It is 1 if all features lie on a line, min(n, D) if they vary equally in all
    directions, and 0 if all are equal.

    Source: Roy & Vetterli 2007, definition 2. Garrido et al. 2023 (arXiv 2210.02885), equation 1,
    use it to measure self-supervised representations, but without centring, so that a large common
    mean looks like a collapse.

    Args:
        features: float [n, D].

    Returns:
        The effective rank, 0 to min(n, D); NaN if a feature is not finite.
    """
    if not features.isfinite().all():
        return float("nan")
    features = features.double()
    centred = features - features.mean(0)
    values = torch.linalg.svdvals(centred)
    # Equal vectors leave nothing but rounding errors.
    if values[0] <= DEAD * features.norm():
        return 0.0
    shares = values / values.sum()
    return float(torch.special.entr(shares).sum().exp())


class RepresentationHealth(Callback):
    """Watch the encoder's vectors of validation frames, and warn if they collapse.

    Logs every validation epoch:

    * ``health/effective_rank``: the number of directions used, see :func:`effective_rank`;
    * ``health/deviation``: the standard deviation over frames, averaged over units;
    * ``health/dead_units``: the share of units that are constant, 0 to 1.

    A representation can collapse onto a few directions or towards a point; the callback warns of
    either, once. To notice the second, it compares the deviation with that of the untrained encoder
    on the frames of the first training batch, which checkpoints keep. The callback does not change
    the training: a run with it has the same weights as a run without it.

    Args:
        batches: number of validation batches to encode, at least 1; each costs a forward pass. The
            effective rank is at most their number of frames.
        least_rank: warn if the effective rank is below this value.
        least_deviation: warn if the deviation is below this share of the untrained encoder's.

    Raises:
        ConfigurationError: an argument is out of its range.
    """

    def __init__(
        self, batches: int = 4, least_rank: float = 2.0, least_deviation: float = 0.02
    ) -> None:
        if batches < 1 or least_rank < 0 or least_deviation < 0:
            raise ConfigurationError(
                f"batches={batches} must be at least 1, least_rank={least_rank} and "
                f"least_deviation={least_deviation} at least 0"
            )
        self.batches = batches
        self.least_rank = least_rank
        self.least_deviation = least_deviation
        self._untrained: float | None = None  # the untrained encoder's deviation, if measured
        self._warned = False
        self._vectors: list[Tensor] = []

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: SequenceBatch, batch_idx: int
    ) -> None:
        """Measure the deviation of the untrained encoder's vectors, before the first step."""
        if trainer.global_step == 0 and batch_idx == 0:
            # All frames of the sequences: a batch may hold as few as eight sequences.
            vectors = _on_all_ranks(pl_module, _encoded(pl_module, batch.frames.flatten(0, 1)))
            self._untrained = _deviations(vectors).mean().item()

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
            self._vectors.append(_encoded(pl_module, batch.frames[-1]))

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Log the measures, and warn if they show a collapse."""
        vectors = _on_all_ranks(pl_module, torch.cat(self._vectors))
        self._vectors.clear()
        deviations = _deviations(vectors)
        deviation = deviations.mean()
        dead = (deviations <= DEAD * vectors.abs().amax(0)).float().mean()
        rank = effective_rank(vectors)
        pl_module.log_dict(
            {
                "health/effective_rank": rank,
                "health/deviation": deviation,
                "health/dead_units": dead,
            },
            sync_dist=True,  # the values are the same on all ranks, but Lightning warns without it
        )
        signs = []
        if rank < self.least_rank:
            signs.append(
                f"the effective rank of {vectors.shape[1]} features on {len(vectors)} validation "
                f"frames is {rank:.1f}, and {dead:.0%} of the units are constant"
            )
        before = self._untrained
        if before is not None and deviation < self.least_deviation * before:
            signs.append(
                f"the features deviate by {deviation:.2g} over {len(vectors)} validation frames, "
                f"{deviation / before:.1%} of the {before:.2g} before training"
            )
        if signs and not self._warned:
            self._warned = True
            lr = getattr(pl_module, "lr", None)
            advice = f". Try a smaller learning rate than {lr}" if lr and dead > MANY else ""
            rank_zero_warn(
                "the representation has collapsed or is about to: "
                f"{'; '.join(signs)}, in epoch {trainer.current_epoch}{advice}"
            )

    def state_dict(self) -> dict[str, Any]:
        """Return the untrained encoder's deviation, which a resumed run cannot measure."""
        return {"untrained": self._untrained}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the untrained encoder's deviation from a checkpoint."""
        self._untrained = state_dict["untrained"]


def _encoded(model: LightningModule, frames: Tensor) -> Tensor:
    """Encode frames without an effect on the training, float [B, D]."""
    # Some encoders draw random numbers even in evaluation mode.
    devices = range(torch.cuda.device_count())
    with torch.random.fork_rng(devices=devices), evaluating(model), torch.no_grad():
        vectors: Tensor = model(frames)
    return vectors.float()


def _on_all_ranks(model: LightningModule, vectors: Tensor) -> Tensor:
    """Concatenate the vectors of all ranks, float [n, D]."""
    if model.trainer.world_size == 1:
        return vectors
    return model.all_gather(vectors).flatten(0, 1)  # type: ignore[union-attr]


def _deviations(vectors: Tensor) -> Tensor:
    """Compute each unit's standard deviation over the vectors, float [D]."""
    return vectors.std(0, correction=0)
