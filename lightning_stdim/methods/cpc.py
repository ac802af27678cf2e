"""CPC: contrastive predictive coding."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from lightning_stdim.datamodules.batches import SequenceBatch
from lightning_stdim.encoders import feature_dim_of
from lightning_stdim.errors import ConfigurationError
from lightning_stdim.methods.base import SSLMethod
from lightning_stdim.methods.sequences import encode_sequences
from lightning_stdim.objectives import future_infonce, gather_rows

CONTEXT_DIM, RECURRENT_LAYERS = 256, 2


class CPC(SSLMethod):
    """Contrastive Predictive Coding over long sequences of frames.

    A recurrent network (GRU, two layers of 256 units) summarises the frames so far in a context
    vector. For each of the steps 1, 5, 9, ... ahead, a linear layer predicts the global vector of
    that frame from the context. InfoNCE then compares the prediction with the vectors of all
    sequences and times in the batch. The losses of the steps are summed.

    Logs ``loss`` (nats), ``accuracy`` (0 to 1: how often the right vector has the highest score,
    averaged over steps) and ``error`` (1 - ``accuracy``). ``val/error`` decides when training
    stops and which checkpoint is best, as in the paper.

    Source: van den Oord et al. 2018 (arXiv 1807.03748), equations 3 and 4, with the settings of
    Anand et al. 2019 (arXiv 1906.08226). The batch differs: 8 sequences instead of 64, because
    the training split of a small collection has no room for 64 sequences that are apart in time.

    Args:
        sequence_length: number of frames per sequence, T, at least 2.
        steps_between: distance between the predicted steps, at least 1: the model predicts 1,
            1 + steps_between, 1 + 2 * steps_between, ... steps ahead, up to the end of the
            sequence.
        **base: the other arguments of :class:`SSLMethod`.

    Raises:
        ConfigurationError: a value is out of its range.
        EncoderError: the encoder does not map frames to vectors.
    """

    name = "cpc"
    batch_size = 8
    monitor = "val/error"

    def __init__(self, *, sequence_length: int = 100, steps_between: int = 4, **base: Any) -> None:
        super().__init__(**base)
        if sequence_length < 2 or steps_between < 1:
            raise ConfigurationError(
                f"model.sequence_length={sequence_length} must be at least 2 and "
                f"model.steps_between={steps_between} at least 1"
            )
        self.sequence_length = sequence_length
        self.steps = range(1, sequence_length, steps_between)
        feature_dim = feature_dim_of(self.encoder, self.channels)
        self.context = nn.GRU(feature_dim, CONTEXT_DIM, RECURRENT_LAYERS, batch_first=True)
        # One layer predicts all steps, in one matrix product.
        self.predict = nn.Linear(CONTEXT_DIM, len(self.steps) * feature_dim)

    def loss(self, batch: SequenceBatch) -> dict[str, Tensor]:
        """Compute the sum of the losses of all steps; see :meth:`SSLMethod.loss`.

        Args:
            batch: sequences of T frames.

        Returns:
            ``"loss"``, float [], in nats; ``"accuracy"`` and ``"error"``, float [], 0 to 1.

        Raises:
            ConfigurationError: the batch holds sequences of another length.
        """
        frames = batch.sequences(self.sequence_length)
        vectors = encode_sequences(self.encoder, frames)  # [B, T, D]
        contexts, _ = self.context(vectors)  # [B, T, 256]
        predictions = self.predict(contexts).unflatten(2, (len(self.steps), -1))  # [B, T, K, D]
        loss, accuracy = future_infonce(predictions, gather_rows(vectors), self.steps)
        return {"loss": loss, "accuracy": accuracy, "error": 1 - accuracy}
