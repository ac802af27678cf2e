"""The ``converged`` protocol: logistic regression on standardised features, to its optimum."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from torch import Tensor

from lightning_stdim.datamodules.batches import Split
from lightning_stdim.errors import ConfigurationError
from lightning_stdim.probes.features import ProbeFeatures
from lightning_stdim.probes.logistic import Logistic, Optimum, minimise
from lightning_stdim.utils.progress_bar import progress_bar

EXTRAPOLATION = 0.7
"""The share of the weights' last change that is added to start at the next strength.

This saves a fifth of the work.
"""


@dataclass(frozen=True)
class ConvergedSettings:
    """Settings of the ``converged`` protocol.

    Args:
        strengths: candidate strengths of the regularisation, from strong to weak. A strength is
            lambda, the weight of the penalty per frame: 1 / (C n) in scikit-learn's terms.
        criterion: the measure on the validation split by which a strength is chosen. "accuracy" is
            what the ``paper`` protocol uses, so that the two protocols differ in the optimisation
            alone; of equal accuracies, the one with the lower log loss wins. "log_loss" is
            smoother, but on Pong it chooses ten times stronger regularisation, with an F1 that is
            0.01 to 0.02 lower. It leaves out frames whose label never occurs in training, for
            which the log loss is infinite at any strength.
        patience: the search for a variable's strength ends after this many weaker strengths in a
            row without improvement.
        tolerance: the solver stops when the estimated distance of the objective to its minimum is
            below this share of the objective.
        search_tolerance: the same while strengths are compared; only the chosen strength is solved
            to ``tolerance``.
        dtype: number format of the solver. If rounding in float32 ends the search for a variable's
            optimum too early, the solver continues in float64.
    """

    strengths: tuple[float, ...] = tuple(10 ** (-k / 2) for k in range(2, 13))
    criterion: Literal["accuracy", "log_loss"] = "accuracy"
    patience: int = 2
    tolerance: float = 1e-5
    search_tolerance: float = 1e-3
    dtype: Literal["float32", "float64"] = "float32"

    def __post_init__(self) -> None:
        if (
            not self.strengths
            or min(self.strengths) <= 0
            or list(self.strengths) != sorted(self.strengths, reverse=True)
        ):
            raise ConfigurationError(
                f"strengths={self.strengths} must be positive and go from strong to weak"
            )
        if not min(self.tolerance, self.search_tolerance) > 0 or self.patience < 1:
            raise ConfigurationError(
                f"tolerance={self.tolerance} and search_tolerance={self.search_tolerance} must be "
                f"positive and patience={self.patience} at least 1"
            )


def train_converged(
    data: ProbeFeatures,
    *,
    settings: ConvergedSettings | None = None,
    strengths: Mapping[str, float] | None = None,
    progress: bool = False,
) -> tuple[Tensor, dict[str, Any]]:
    """Train and test the probes of the ``converged`` protocol.

    Each variable's probe is a multinomial logistic regression over the classes that occur in
    training. The bias is not regularised, and the strength of the regularisation is chosen on the
    validation split. The features are standardised on the training split; a feature that does not
    vary there is left out. So the result depends on the representation alone, and not on the scale
    of its features, a learning rate, a seed or the order of frames.

    Args:
        data: features and labels of the three splits.
        settings: settings of the protocol; by default those of :class:`ConvergedSettings`.
        strengths: strength of each variable's regularisation, to use instead of choosing one.
        progress: show a progress bar.

    Returns:
        The predictions for the test split, int64 [n, V], and each variable's details as plain
        data: ``strength``, the chosen one; ``val_accuracy`` and ``val_log_loss`` (None if no
        validation label occurs in training); ``objective``, its final value; ``relative_gap``, its
        estimated relative distance to the minimum; ``evaluations`` of the objective over all
        strengths; and ``weakest_tried``, whether the search reached the weakest strength. The
        distance is estimated from the gradient and the last steps; at the weakest strengths the
        true one can be many times as large.
    """
    settings = settings or ConvergedSettings()
    features = _principal(data, getattr(torch, settings.dtype))
    predictions, details = [], {}
    candidates = () if strengths else settings.strengths
    steps = 1 + len(candidates)
    with progress_bar(
        "probing, converged", len(data.variables) * steps, enabled=progress
    ) as update:
        for v, name in enumerate(data.variables):
            labels = {split: values[:, v] for split, values in data.labels.items()}
            search = _Search(features, labels, settings)
            if strengths:
                search.chosen = strengths[name]
            for k, strength in enumerate(candidates):
                update(v * steps + k, f"{name}, strength {strength:.0e}")
                search.try_strength(strength)
                if search.finished:
                    break
            details[name] = search.solve()
            predictions.append(search.predict("test"))
            update((v + 1) * steps, name)
    return torch.stack(predictions, dim=1), details


def _principal(data: ProbeFeatures, dtype: torch.dtype) -> dict[Split, Tensor]:
    """Standardise, rotate to the training split's principal axes, and append the constant 1.

    The rotation does not change the problem, but makes its second moment diagonal. The axes of the
    largest variance come last. Features that do not vary are left out.
    """
    mean, deviation = data.mean_and_std()
    alive = deviation.isfinite()
    mean, deviation = mean[alive], deviation[alive]
    centred = {split: values[:, alive].double() - mean for split, values in data.features.items()}
    train = centred["train"] / deviation
    _, axes = torch.linalg.eigh(train.T @ train)
    rotation = axes / deviation.unsqueeze(1)  # [D, D]
    return {
        split: torch.cat([values @ rotation, values.new_ones(len(values), 1)], dim=1).to(dtype)
        for split, values in centred.items()
    }


class _Search:
    """The search of one variable's strength, from strong to weak regularisation.

    Args:
        features: features of each split, float [n, J].
        labels: labels of each split, int64 [n].
        settings: settings of the protocol.
    """

    def __init__(
        self,
        features: dict[Split, Tensor],
        labels: dict[Split, Tensor],
        settings: ConvergedSettings,
    ) -> None:
        self.features = features
        self.labels = labels
        self.settings = settings
        self.classes, train = torch.unique(labels["train"], return_inverse=True)  # ascending
        self.problem = Logistic(features["train"], train, len(self.classes))
        self.weights = self.previous = self.chosen_weights = self.problem.start()
        self.chosen: float
        self.best: tuple[float, float] | None = None
        self.worse = self.evaluations = self.tried = 0

    @property
    def finished(self) -> bool:
        """Whether enough weaker strengths in a row have brought no improvement."""
        return self.worse >= self.settings.patience

    def try_strength(self, strength: float) -> None:
        """Solve at the next strength, and keep it if it is the best one so far."""
        # Once the weights have changed between two strengths, that change predicts the next.
        ahead = EXTRAPOLATION * (self.weights - self.previous) if self.tried > 1 else 0.0
        self.previous, start = self.weights, self.weights + ahead
        self._minimise(start, strength, self.settings.search_tolerance)
        self.tried += 1
        accuracy, log_loss = self._validate()
        quality = (accuracy, -log_loss)
        if self.settings.criterion == "log_loss":
            quality = (-log_loss, accuracy)
        self.worse += 1
        if self.best is None or quality > self.best:
            self.best, self.worse = quality, 0
            self.chosen, self.chosen_weights = strength, self.weights

    def solve(self) -> dict[str, Any]:
        """Solve to the optimum at the chosen strength, and return the details as plain data."""
        tolerance = self.settings.tolerance
        optimum = self._minimise(self.chosen_weights, self.chosen, tolerance)
        if (
            optimum.suboptimality > tolerance * optimum.value
            and self.weights.dtype == torch.float32
        ):
            # Rounding ended the search. The features hardly vary except in a few directions.
            self.features = {split: values.double() for split, values in self.features.items()}
            self.problem = replace(self.problem, features=self.features["train"])
            optimum = self._minimise(self.weights.double(), self.chosen, tolerance)
        accuracy, log_loss = self._validate()
        return {
            "strength": self.chosen,
            "val_accuracy": accuracy,
            "val_log_loss": log_loss if log_loss < float("inf") else None,
            "objective": optimum.value,
            "relative_gap": optimum.suboptimality / optimum.value if optimum.value else 0.0,
            "evaluations": self.evaluations,
            "weakest_tried": self.tried == len(self.settings.strengths),
        }

    def _minimise(self, start: Tensor, strength: float, tolerance: float) -> Optimum:
        penalty = start.new_full((len(start),), strength)
        penalty[-1] = 0.0  # the bias
        optimum = minimise(self.problem, start, penalty, tolerance=tolerance)
        self.weights = optimum.weights
        self.evaluations += optimum.evaluations
        return optimum

    def predict(self, split: Split) -> Tensor:
        """Predict the labels of a split, int64 [n]."""
        predicted: Tensor = self.classes[(self.features[split] @ self.weights).argmax(1)]
        return predicted

    def _validate(self) -> tuple[float, float]:
        """Compute accuracy, and log loss over the frames whose label occurs in training."""
        labels = self.labels["val"]
        log_p = (self.features["val"] @ self.weights).log_softmax(1)
        accuracy = (self.classes[log_p.argmax(1)] == labels).double().mean().item()
        known = torch.isin(labels, self.classes)
        if not known.any():
            return accuracy, float("inf")
        column = torch.searchsorted(self.classes, labels[known])
        return accuracy, -log_p[known].gather(1, column.unsqueeze(1)).double().mean().item()
