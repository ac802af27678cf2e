"""F1 and accuracy of many classifiers at once, computed from counts; the challenge report's F1."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric


class PerVariableScores(Metric):
    """Weighted F1, macro F1, accuracy and balanced accuracy of V classifiers.

    The states are counts per variable and class, summed over batches and over ranks. All scores
    follow from them, so that a batch costs three scatters for any number of variables.

    The scores equal scikit-learn's ``f1_score(average="weighted" | "macro", zero_division=0)``,
    ``accuracy_score`` and ``balanced_accuracy_score`` of each variable. With t hits, s labels
    (the support) and q predictions of a class, and n frames:

    * F1 of a class: 2t / (s + q). A class that occurs in neither labels nor predictions has no
      F1 and counts nowhere; one that occurs in only one of them has F1 zero.
    * ``"f1"``: mean of F1 over classes, weighted by s. The paper's score.
    * ``"macro_f1"``: plain mean of F1 over the classes that occur in labels or predictions.
    * ``"accuracy"``: sum of t over classes, divided by n.
    * ``"balanced_accuracy"``: mean of t / s over the classes that occur in the labels.

    Without any frames all four are NaN.

    Args:
        num_variables: number of variables, V.
        num_classes: number of classes; labels and predictions are 0 to ``num_classes - 1``.
        **kwargs: arguments of ``torchmetrics.Metric``.
    """

    is_differentiable = False
    higher_is_better = True
    full_state_update = False

    hits: Tensor
    support: Tensor
    predicted: Tensor

    def __init__(self, num_variables: int, num_classes: int = 256, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.num_variables = num_variables
        self.num_classes = num_classes
        for name in ("hits", "support", "predicted"):
            counts = torch.zeros(num_variables, num_classes, dtype=torch.int64)
            self.add_state(name, default=counts, dist_reduce_fx="sum")

    def update(self, predictions: Tensor, labels: Tensor) -> None:
        """Count a batch.

        Args:
            predictions: int64 [B, V], the predicted classes.
            labels: int64 [B, V], the true classes.
        """
        right = (predictions == labels).long()
        self.hits.scatter_add_(1, labels.T, right.T)
        self.support.scatter_add_(1, labels.T, torch.ones_like(labels.T))
        self.predicted.scatter_add_(1, predictions.T, torch.ones_like(predictions.T))

    def compute(self) -> dict[str, Tensor]:
        """Compute the scores from the counts.

        Returns:
            ``"f1"``, ``"accuracy"``, ``"macro_f1"`` and ``"balanced_accuracy"``, each float64
            [V], 0 to 1. If V is 1 the shape is [], because torchmetrics squeezes results.
        """
        hits, support, predicted = (
            self.hits.double(),
            self.support.double(),
            self.predicted.double(),
        )
        frames = support.sum(1)
        f1 = 2 * hits / (support + predicted)  # NaN where a class occurs in neither
        return {
            "f1": (f1.nan_to_num() * support).sum(1) / frames,
            "accuracy": hits.sum(1) / frames,
            "macro_f1": f1.nanmean(1),
            "balanced_accuracy": (hits / support).nanmean(1),
        }


def report_f1(
    predictions: Tensor, labels: Tensor, *, batch_size: int = 64, seed: int = 0
) -> Tensor:
    """Compute the F1 of the challenge report, to compare with its numbers alone.

    It departs from the weighted F1 of :class:`PerVariableScores` in two ways. Predictions and
    labels are swapped, so that the F1 of a class is weighted by how often it is predicted. And it
    is computed in batches of the shuffled frames, without the last, incomplete one, and averaged
    over them.

    Source: Ramaswamy et al., "Unsupervised Representation Learning in Atari" (NeurIPS 2019
    Reproducibility Challenge), as its public code does it: scikit-learn's ``f1_score(predictions,
    labels, average="weighted")``, whose first argument is meant for the truth.

    Args:
        predictions: int64 [n, V], the predicted classes, 0 to 255.
        labels: int64 [n, V], the true classes.
        batch_size: number of frames in a batch; fewer frames than that are one batch.
        seed: random seed of the frames' order.

    Returns:
        float64 [V], 0 to 1; NaN without frames.
    """
    frames, variables = labels.shape
    order = torch.randperm(frames, generator=torch.Generator().manual_seed(seed))
    order = order.to(labels.device)
    # Also in a distributed run all the predictions are here, and this rank may be the only one.
    scores = PerVariableScores(variables, sync_on_compute=False).to(labels.device)
    found = []
    for batch in torch.split(order[: frames // batch_size * batch_size or None], batch_size):
        scores.reset()
        scores.update(predictions=labels[batch], labels=predictions[batch])
        found.append(scores.compute()["f1"].reshape(variables))
    return torch.stack(found).mean(0)
