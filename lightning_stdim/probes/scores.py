"""From predictions to the numbers of a results file: variables, categories, means."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import fmean
from typing import Any

from torch import Tensor

from lightning_stdim.datamodules.batches import ProbeData
from lightning_stdim.datamodules.labels.annotations import CATEGORIES
from lightning_stdim.datamodules.labels.entropy_filter import entropy
from lightning_stdim.probes.metrics import PerVariableScores, report_f1

MetricTable = dict[str, dict[str, Any]]
"""For every metric what :func:`aggregate` returns."""

REPORT_F1 = "report_f1"
"""The name of :func:`~lightning_stdim.probes.metrics.report_f1` in a MetricTable. It is there only
if the ``challenge`` protocol was asked for; ``"f1"`` is the right F1 everywhere."""


def aggregate(
    values: Mapping[str, float],
    categories: Mapping[str, tuple[str, ...]],
    entropies: Mapping[str, float],
) -> dict[str, Any]:
    """Average one metric over variables and categories.

    A variable counts in each of its categories (none, one or two). The mean over categories is
    over those that have a variable, each with equal weight: the number of the paper's tables
    ("across categories"). The mean over variables gives every variable equal weight. The mean
    weighted by entropy, sum_v H_v s_v / sum_v H_v, gives each the weight of what there is to know
    of it: one that hardly varies, and is easily right, counts little.

    Args:
        values: the metric of each variable.
        categories: the categories of each variable.
        entropies: of each variable's labels, in nats.

    Returns:
        ``"variables"``, ``"categories"`` (those with a variable, in the paper's order),
        ``"mean_over_categories"`` (None if no variable has a category),
        ``"mean_over_variables"`` (None without variables) and ``"mean_weighted_by_entropy"`` (None
        if no variable varies).
    """
    members = {
        category: [value for name, value in values.items() if category in categories[name]]
        for category in CATEGORIES
    }
    means = {category: fmean(found) for category, found in members.items() if found}
    weights = [entropies[name] for name in values]
    return {
        "variables": dict(values),
        "categories": means,
        "mean_over_categories": fmean(means.values()) if means else None,
        "mean_over_variables": fmean(values.values()) if values else None,
        "mean_weighted_by_entropy": fmean(values.values(), weights) if any(weights) else None,
    }


def score_tables(scores: PerVariableScores, data: ProbeData) -> MetricTable:
    """Aggregate all metrics of one protocol.

    Args:
        scores: the counts over the test split.
        data: for the variables' names, categories and entropies.

    Returns:
        Plain data: ``"f1"`` (weighted by support), ``"accuracy"``, ``"macro_f1"`` and
        ``"balanced_accuracy"``, each as :func:`aggregate` gives it.
    """
    entropies = label_entropies(data)
    return {
        metric: aggregate(_by_variable(values, data), data.categories, entropies)
        for metric, values in scores.compute().items()
    }


def report_f1_table(
    predictions: Tensor, labels: Tensor, data: ProbeData, *, batch_size: int, seed: int
) -> MetricTable:
    """Aggregate the challenge report's F1, to stand beside the right one.

    Args:
        predictions: predictions of the test split, int64 [n, V].
        labels: int64 [n, V], on the same device.
        data: for the variables' names, categories and entropies.
        batch_size: number of frames in a batch of the challenge report's F1.
        seed: random seed of the frames' order.

    Returns:
        Plain data: :data:`REPORT_F1` alone, as :func:`aggregate` gives it.
    """
    values = report_f1(predictions, labels, batch_size=batch_size, seed=seed)
    table = aggregate(_by_variable(values, data), data.categories, label_entropies(data))
    return {REPORT_F1: table}


def _by_variable(values: Tensor, data: ProbeData) -> dict[str, float]:
    return dict(zip(data.variables, values.flatten().tolist(), strict=True))


def label_entropies(data: ProbeData) -> dict[str, float]:
    """Measure each variable's label entropy over the whole collection, as the filter does.

    Args:
        data: labelled frames.

    Returns:
        Nats, by variable.
    """
    columns = data.labels.cpu().numpy().T
    return {name: entropy(labels) for name, labels in zip(data.variables, columns, strict=True)}


def score_predictions(predictions: Tensor, labels: Tensor, data: ProbeData) -> MetricTable:
    """Score the predictions of the test split.

    Args:
        predictions: int64 [n, V].
        labels: int64 [n, V], on the same device.
        data: for the variables' names, categories and entropies.

    Returns:
        As :func:`score_tables`.
    """
    # Also in a distributed run all the predictions are here, and this rank may be the only one.
    scores = PerVariableScores(len(data.variables), sync_on_compute=False).to(labels.device)
    scores.update(predictions, labels)
    return score_tables(scores, data)
