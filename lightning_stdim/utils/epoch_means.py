"""Means over an epoch of values that every step computes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from pytorch_lightning import LightningModule, Trainer
from torch import Tensor
from torchmetrics import Metric


class WeightedMean(Metric):
    """A weighted mean over batches and ranks, which is kept on the device.

    ``torchmetrics.MeanMetric`` copies the weight to the device and checks for NaN in every update,
    which takes three times as many kernels.

    Args:
        dtype: type of the sums.
    """

    is_differentiable = False
    full_state_update = False

    total: Tensor
    weight: Tensor

    def __init__(self, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        self.add_state("total", default=torch.zeros((), dtype=dtype), dist_reduce_fx="sum")
        self.add_state("weight", default=torch.zeros((), dtype=dtype), dist_reduce_fx="sum")

    def update(self, value: Tensor, weight: int) -> None:
        """Add a batch.

        Args:
            value: float [], the batch's mean.
            weight: number of samples in the batch.
        """
        self.total.add_(value, alpha=weight)
        self.weight.add_(weight)

    def compute(self) -> Tensor:
        """Compute the mean.

        Returns:
            float [].
        """
        return self.total / self.weight


class EpochMeans:
    """Logs means over the samples of an epoch and all ranks, at a fraction of ``log_dict``'s cost.

    Giving Lightning every step's values takes several times as long as everything else that a
    trainer does in a step. Here Lightning gets a metric once an epoch, and a step costs two
    additions per term. Every stage needs its own object, since the epoch of one may lie within that
    of another.
    """

    def __init__(self) -> None:
        self._means: dict[str, WeightedMean] = {}
        self._trainer: Trainer | None = None

    def __getstate__(self) -> dict[str, Any]:
        return vars(EpochMeans())  # a copy of the module begins afresh

    def update(
        self, module: LightningModule, terms: Mapping[str, Tensor], *, batch_idx: int, weight: int
    ) -> None:
        """Add a batch; to be called in ``training_step``, ``validation_step`` and so on.

        Args:
            module: the module that logs the means, under the terms' names.
            terms: float [] each, means over the batch.
            batch_idx: number of the step; 0 begins an epoch.
            weight: number of samples in the batch.
        """
        if module.fabric is not None:  # there are no epochs to log after
            module.log_dict({name: value.detach() for name, value in terms.items()})
            return
        # Another trainer may go on within an epoch, where this one was interrupted.
        if batch_idx == 0 or module.trainer is not self._trainer:
            self._means, self._trainer = {}, module.trainer
        for name, value in terms.items():
            if name not in self._means:
                dtype = torch.promote_types(value.dtype, torch.float32)
                mean = self._means[name] = WeightedMean(dtype).to(value.device)
                # The attribute is named only so that Lightning does not look for it.
                module.log(name, mean, on_step=False, on_epoch=True, metric_attribute=name)
            self._means[name].update(value.detach().reshape(()), weight)
