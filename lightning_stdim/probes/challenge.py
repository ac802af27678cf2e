"""The ``challenge`` protocol: probes trained as in the challenge report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lightning_stdim.datamodules.batches import ProbeData, Split
from lightning_stdim.encoders.undivided import scaling_modules
from lightning_stdim.errors import ConfigurationError, TrainingError
from lightning_stdim.probes.features import ProbeFeatures
from lightning_stdim.probes.fused_adam import fused_adam
from lightning_stdim.probes.heads import LinearHeads
from lightning_stdim.utils.progress_bar import progress_bar

NUM_CLASSES = 255
"""Number of a probe's outputs: one fewer than a byte has values."""


@dataclass(frozen=True)
class ChallengeSettings:
    """Settings of the ``challenge`` protocol; the defaults are the challenge report's.

    Source: Ramaswamy et al., "Unsupervised Representation Learning in Atari" (NeurIPS 2019
    Reproducibility Challenge), as its public code does it. The report itself prints no settings.

    Args:
        lr: Adam's learning rate, from beginning to end.
        eps: Adam's epsilon.
        batch_size: number of frames in a training step, and in a batch of the challenge
            report's F1.
        max_epochs: number of epochs; none of them is the best one, and the last weights are scored.
    """

    lr: float = 5e-2
    eps: float = 1e-8
    batch_size: int = 64
    max_epochs: int = 100

    def __post_init__(self) -> None:
        for name in ("lr", "eps", "batch_size", "max_epochs"):
            if not getattr(self, name) > 0:
                raise ConfigurationError(f"challenge.{name}={getattr(self, name)} must be positive")


def check_challenge(encoder: nn.Module, data: ProbeData) -> None:
    """Refuse what the ``challenge`` protocol cannot do with, before hours are spent on it.

    Args:
        encoder: the encoder that is to be probed; its weights do not matter.
        data: labels and splits; frames are not needed.

    Raises:
        ConfigurationError: the encoder cannot be told not to divide frames by 255, or a label
            is 255.
    """
    scaling_modules(encoder)
    for part in data.splits.values():
        _check_labels(data.variables, data.labels[part])


def _check_labels(variables: Sequence[str], labels: Tensor) -> None:
    for name, largest in zip(variables, labels.amax(0).tolist(), strict=True):
        if largest >= NUM_CLASSES:
            raise ConfigurationError(
                f"{name} takes the value {largest}, and a probe of the challenge protocol has "
                f"outputs for 0 to {NUM_CLASSES - 1} alone, as in the challenge report: leave "
                "challenge out of the protocols for this game"
            )


def train_challenge(
    data: ProbeFeatures,
    *,
    settings: ChallengeSettings | None = None,
    seed: int = 0,
    progress: bool = False,
) -> tuple[Tensor, dict[str, Any]]:
    """Train and test the probes of the ``challenge`` protocol.

    Each variable has one linear layer, from D features to 255 classes. Every epoch goes through the
    training frames in another random order and leaves out the last, incomplete batch; a split
    smaller than a batch stays whole.

    Args:
        data: features and labels of the three splits. The report's features are those of frames
            from 0 to 255, not divided by 255.
        settings: settings of the protocol; by default the challenge report's.
        seed: random seed of the initialisation and of the order of the frames.
        progress: show a progress bar.

    Returns:
        The predictions for the test split, int64 [n, V], and each variable's details as plain data:
        with the last weights, ``train_loss`` and ``val_loss``, cross-entropies in nats, and
        ``val_accuracy``, each over all frames of its split.

    Raises:
        ConfigurationError: a label is 255.
        TrainingError: a weight became NaN or infinite.
    """
    settings = settings or ChallengeSettings()
    for labels in data.labels.values():
        _check_labels(data.variables, labels)
    features, labels = data.features["train"], data.labels["train"]
    heads = LinearHeads(data.variables, features.shape[1], num_classes=NUM_CLASSES, seed=seed)
    heads.to(features.device)
    groups = [
        {"params": list(head.parameters()), "name": name}
        for name, head in zip(data.variables, heads.heads, strict=True)
    ]
    optimizer = torch.optim.Adam(groups, lr=settings.lr, eps=settings.eps, fused=True)
    generator = torch.Generator().manual_seed(seed)
    size = settings.batch_size
    with (
        progress_bar("probing, challenge", settings.max_epochs, enabled=progress) as update,
        fused_adam(heads, optimizer) as (columns, step),
    ):
        labels = labels[:, columns]
        for epoch in range(settings.max_epochs):
            order = torch.randperm(len(features), generator=generator).to(features.device)
            for batch in torch.split(order[: len(order) // size * size or None], size):
                step(features[batch], labels[batch])
            update(epoch + 1, "")
    if not all(parameter.isfinite().all() for parameter in heads.parameters()):
        raise TrainingError(
            "the weights of the challenge protocol's probes became NaN or infinite; try a smaller "
            f"learning rate than {settings.lr}"
        )
    tested = {split: _test(heads, data, split) for split in ("train", "val", "test")}
    details = {
        name: {
            "train_loss": float(tested["train"][1][v]),
            "val_loss": float(tested["val"][1][v]),
            "val_accuracy": float(tested["val"][2][v]),
        }
        for v, name in enumerate(data.variables)
    }
    return tested["test"][0], details


@torch.no_grad()
def _test(heads: LinearHeads, data: ProbeFeatures, split: Split) -> tuple[Tensor, Tensor, Tensor]:
    """Return predictions, int64 [n, V], mean cross-entropies and accuracies, float64 [V] each."""
    features, labels = data.features[split], data.labels[split]
    predictions, losses = [], []
    # In chunks, to bound the logits' memory.
    chunks = zip(torch.split(features, 1024), torch.split(labels, 1024), strict=True)
    for chunk, truth in chunks:
        logits = heads(chunk)  # [B, V, 255]
        predictions.append(logits.argmax(2))
        losses.append(F.cross_entropy(logits.mT, truth, reduction="none").double())
    found = torch.cat(predictions)
    return found, torch.cat(losses).mean(0), (found == labels).double().mean(0)
