"""Means over an epoch of the values that its steps compute."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from pytorch_lightning import LightningModule, Trainer
from torch import Tensor
from torchmetrics import Metric


class WeightedMean(Metric):
    """A weighted mean over batches and ranks, computed on the device.

    ``torchmetrics.MeanMetric`` copies the weight to the device and checks for NaN in every update,
    which takes three times as many kernels.

    Args:
        dtype: number format of the sums.
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
            value: mean over the batch, float [].
            weight: number of samples in the batch.
        """
        self.total.add_(value, alpha=weight)
        self.weight.add_(weight)

    def compute(self) -> Tensor:
        """Compute the mean over all batches.

        Returns:
            float []; NaN if there were none.
        """
        return self.total / self.weight


class EpochMeans:
    """Logging of means over an epoch's samples on all ranks, much cheaper than ``log_dict``.

    Passing the values of every step to Lightning takes several times as long as everything else
    that a trainer does in a step. Here Lightning gets a metric once per epoch, and a step costs two
    additions per term. Each stage needs an object of its own, because the epoch of one stage may
    lie within that of another.
    """

    def __init__(self) -> None:
        self._means: dict[str, WeightedMean] = {}
        self._trainer: Trainer | None = None

    def __getstate__(self) -> dict[str, Any]:
        return vars(EpochMeans())  # a copy of the module starts without means

    def update(
        self, module: LightningModule, terms: Mapping[str, Tensor], *, batch_idx: int, weight: int
    ) -> None:
        """Add a batch, in ``training_step``, ``validation_step`` or ``test_step``.

        Args:
            module: module that logs the means, under the names of the terms.
            terms: means over the batch by name, float [] each.
            batch_idx: number of the batch; 0 starts an epoch.
            weight: number of samples in the batch.
        """
        if module.fabric is not None:  # Fabric has no epochs, after which means could be logged
            module.log_dict({name: value.detach() for name, value in terms.items()})
            return
        # Another trainer may continue in the middle of an epoch that was interrupted.
        if batch_idx == 0 or module.trainer is not self._trainer:
            self._means, self._trainer = {}, module.trainer
        for name, value in terms.items():
            if name not in self._means:
                dtype = torch.promote_types(value.dtype, torch.float32)
                self._log(module, name, WeightedMean(dtype).to(value.device))
            self._means[name].update(value.detach().reshape(()), weight)

    def sums(self) -> dict[str, Tensor]:
        """Give the sums so far, for a checkpoint within an epoch.

        Returns:
            float [2] by name: this rank's weighted sum and its weight.
        """
        return {k: torch.stack([m.total, m.weight]).cpu() for k, m in self._means.items()}

    def restore(self, module: LightningModule, sums: Mapping[str, Tensor]) -> None:
        """Go on with an epoch, in ``on_train_start``.

        Args:
            module: module that logs the means.
            sums: what :meth:`sums` gave.
        """
        self._means, self._trainer = {}, module.trainer
        for name, (total, weight) in sums.items():
            mean = WeightedMean(total.dtype).to(module.device)
            self._log(module, name, mean)
            mean.update(total.to(module.device), 1)
            mean.weight.copy_(weight)

    def _log(self, module: LightningModule, name: str, mean: WeightedMean) -> None:
        self._means[name] = mean
        # Lightning would search the module's attributes for the metric without this name.
        module.log(name, mean, on_step=False, on_epoch=True, metric_attribute=name)
