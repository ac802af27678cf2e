"""A control: the score of a probe that can learn nothing from the frames."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch

from lightning_stdim.datamodules.batches import ProbeData
from lightning_stdim.probes.converged import ConvergedSettings, train_converged
from lightning_stdim.probes.features import ProbeFeatures
from lightning_stdim.probes.scores import MetricTable, score_predictions

TOLERANCE = 1e-2
"""Noise need not be fitted to the last digit: ten times closer moves a score by 0.001."""


def shuffled_labels(
    features: ProbeFeatures,
    data: ProbeData,
    strengths: Mapping[str, float],
    *,
    settings: ConvergedSettings | None = None,
    seed: int = 0,
    progress: bool = False,
) -> MetricTable:
    """Score the probe of the ``converged`` protocol when it is trained on shuffled labels.

    The training frames' labels are permuted over the frames, all variables' alike; features,
    strengths and the test labels are the real probe's. What is left to learn is the labels'
    frequencies, and what the probe memorises beyond them is noise. So this is what a probe of the
    same capacity scores without any knowledge. A score minus its control is what Hewitt and Liang
    2019 (arXiv 1909.03368) call selectivity; their control task, too, is the probe's own with
    labels that nothing but memory can tell.

    Over frames, not over episodes: what all episodes have in common at the same time after their
    start, such as a clock, would survive the exchange of whole episodes, though it is state that
    a probe should read. And the same strengths, not the best ones: for these labels the best is to
    know nothing but the most frequent one, which is the majority baseline again.

    Args:
        features: what the real probe was trained on.
        data: for the variables' names, categories and entropies.
        strengths: the regularisation that the real probe chose for each variable.
        settings: settings of the protocol; its tolerance is not used.
        seed: random seed of the permutation.
        progress: show a progress bar.

    Returns:
        As :func:`score_predictions`.
    """
    labels = features.labels
    order = torch.randperm(len(labels["train"]), generator=torch.Generator().manual_seed(seed))
    shuffled = labels["train"][order.to(labels["train"].device)]
    predictions, _ = train_converged(
        replace(features, labels={**labels, "train": shuffled}),
        settings=replace(settings or ConvergedSettings(), tolerance=TOLERANCE),
        strengths=strengths,
        progress=progress,
    )
    return score_predictions(predictions, labels["test"], data)
