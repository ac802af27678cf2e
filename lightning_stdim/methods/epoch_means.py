"""Means over an epoch of what every step computes."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from lightning import LightningModule
from torch import Tensor
from torchmetrics import Metric


class WeightedMean(Metric):
    """A mean that is kept on the device, over batches and over ranks.

    ``torchmetrics.MeanMetric`` copies the weight to the device and checks for NaN in every update:
    three times as many kernels, in a step that has few.
    """

    is_differentiable = False
    full_state_update = False

    total: Tensor
    weight: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.add_state("total", default=torch.zeros(()), dist_reduce_fx="sum")
        self.add_state("weight", default=torch.zeros(()), dist_reduce_fx="sum")

    def update(self, value: Tensor, weight: int) -> None:
        """Count a batch.

        Args:
            value: float [], its mean.
            weight: over how many samples.
        """
        self.total.add_(value, alpha=weight)
        self.weight.add_(weight)

    def compute(self) -> Tensor:
        """Give the mean.

        Returns:
            float [].
        """
        return self.total / self.weight


class EpochMeans:
    """Logs means over the epoch, as ``log_dict(terms, on_step=False, on_epoch=True)`` does.

    That call takes several times as long as all else that a trainer does in a step (a millisecond
    for three terms), because Lightning looks after every value each time. Here it is told of a
    metric once an epoch, and a step is two additions per term.
    """

    def __init__(self) -> None:
        self._means: dict[str, WeightedMean] = {}

    def update(
        self, module: LightningModule, terms: Mapping[str, Tensor], *, batch_idx: int, weight: int
    ) -> None:
        """Count a batch; to be called in ``training_step`` and its like.

        Args:
            module: logs the means, under the terms' names.
            terms: float [] each, means over the batch.
            batch_idx: of the step; 0 begins an epoch.
            weight: samples of the batch.
        """
        for name, value in terms.items():
            if name not in self._means:
                self._means[name] = WeightedMean()
            mean = self._means[name]
            if batch_idx == 0:  # what a loop before this one has left
                mean.reset()
            if not mean.update_called:
                mean.to(value.device)
                module.log(name, mean, on_step=False, on_epoch=True, metric_attribute=name)
            mean.update(value.detach(), weight)
