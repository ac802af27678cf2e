"""L2-regularised multinomial logistic regression, solved to its optimum.

The problem of one variable, over features z with a last feature that is always one::

    F(W) = mean_i [ logsumexp(z_i W) - (z_i W)[y_i] ] + 1/2 sum_jk penalty_j W_jk^2

with penalty_j = lambda, but 0 for the bias. It is convex; the minimum is unique up to a constant
added to all biases. In scikit-learn's terms C = 1 / (lambda * n).

The features come in principal coordinates, where their second moment is diagonal, c_j. The
Hessian's block of class k is then close to diag(h_k c_j + penalty_j), where h_k is the mean of
p_ik (1 - p_ik) over the frames: exactly so while p does not depend on i. (Boehning's bound, Ann.
Inst. Stat. Math. 44, 1992, has 1/2 in place of h_k: fifty times too much for one of a hundred
classes.) As the initial matrix of L-BFGS, renewed in every iteration, it keeps the number of
iterations from growing with the features' correlations and with rare classes.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

CHUNK = 1024
"""Frames per matrix product: the logits of a chunk stay in the processor's cache."""


@dataclass(frozen=True)
class Logistic:
    """The data of one problem.

    Attributes:
        features: float [n, J] in principal coordinates, the last one constant 1.
        second_moment: float [J], the mean of the squared features.
        labels: int64 [n], values 0 to K - 1, each of which occurs.
        num_classes: K.
    """

    features: Tensor
    second_moment: Tensor
    labels: Tensor
    num_classes: int

    def start(self) -> Tensor:
        """Give the optimum for infinite regularisation: log frequencies as biases, [J, K]."""
        weights = self.features.new_zeros(self.features.shape[1], self.num_classes)
        weights[-1] = self.labels.bincount(minlength=self.num_classes).div(len(self.labels)).log()
        return weights

    def evaluate(self, weights: Tensor, penalty: Tensor) -> Point:
        """Compute the objective with its derivatives.

        Args:
            weights: float [J, K].
            penalty: float [J].

        Returns:
            The point.
        """
        gradient = torch.zeros_like(weights)
        curvature = weights.new_zeros(self.num_classes)
        loss = weights.new_zeros((), dtype=torch.float64)
        for z, y in zip(
            torch.split(self.features, CHUNK), torch.split(self.labels, CHUNK), strict=True
        ):
            y = y.unsqueeze(1)
            logits = z @ weights  # [b, K]
            highest = logits.amax(1)
            true = logits.gather(1, y).squeeze(1)
            p = logits.softmax(1)
            # The largest probability is at least 1/K: its logarithm is safe, that of p[y] is not.
            loss += (highest - true - p.amax(1).log()).sum(dtype=torch.float64)
            curvature += p.sum(0) - p.square().sum(0)
            p.scatter_add_(1, y, p.new_full((1, 1), -1.0).expand_as(y))
            gradient.addmm_(z.T, p)
        n = len(self.labels)
        ridge = penalty.unsqueeze(1) * weights  # [J, K]
        value = loss / n + 0.5 * (ridge.double() * weights).sum()
        # Positive also where a class is certain in every frame and has no penalty (its bias).
        diagonal = torch.outer(self.second_moment, curvature / n).add_(penalty.unsqueeze(1))
        return Point(
            weights, value.item(), gradient.div_(n).add_(ridge), diagonal.clamp_(min=1e-12)
        )


class Point(NamedTuple):
    """Weights, and what the objective looks like around them.

    Attributes:
        weights: float [J, K].
        value: the objective.
        gradient: float [J, K].
        diagonal: float [J, K], the approximate diagonal of the Hessian; positive.
    """

    weights: Tensor
    value: float
    gradient: Tensor
    diagonal: Tensor

    def decrement(self) -> float:
        """Estimate how far the objective is above its minimum: half of g^T diag^-1 g."""
        return 0.5 * (self.gradient.square() / self.diagonal).sum().item()


def minimise(
    problem: Logistic,
    weights: Tensor,
    penalty: Tensor,
    *,
    tolerance: float,
    max_evaluations: int = 2000,
    memory: int = 10,
) -> tuple[Point, int]:
    """Minimise by L-BFGS with a line search that never accepts a higher objective.

    Args:
        problem: the data.
        weights: float [J, K], where to start.
        penalty: float [J], at least 0.
        tolerance: stop when the estimated distance to the minimum is below this share of the
            objective.
        max_evaluations: of the objective; a guard, far above what is needed.
        memory: pairs of steps and gradient differences that are kept.

    Returns:
        The last point, and how often the objective was evaluated. The search also ends where
        rounding hides any further decrease.
    """
    point = problem.evaluate(weights, penalty)
    evaluations = 1
    history: deque[tuple[Tensor, Tensor]] = deque(maxlen=memory)
    while point.decrement() > tolerance * point.value and evaluations < max_evaluations:
        direction = _direction(point, history)
        slope = (point.gradient.double() * direction).sum().item()
        step = 1.0
        while True:
            trial = problem.evaluate(point.weights + step * direction, penalty)
            evaluations += 1
            if trial.value <= point.value + 1e-4 * step * slope:
                break
            # Minimum of the parabola through both values and the slope, within bounds.
            excess = trial.value - point.value - step * slope
            step *= min(0.5, max(0.1, -slope * step / (2 * excess)))
            if step < 1e-4:
                return point, evaluations
        change = trial.weights - point.weights
        difference = trial.gradient - point.gradient
        if (change * difference).sum() > 0:  # always, but for rounding
            history.append((change, difference))
        point = trial
    return point, evaluations


def _direction(point: Point, history: deque[tuple[Tensor, Tensor]]) -> Tensor:
    """Apply L-BFGS's two loops (Nocedal and Wright 2006, algorithm 7.4) around the diagonal."""
    direction = -point.gradient
    shares = []
    for change, difference in reversed(history):
        share = (change * direction).sum() / (change * difference).sum()
        shares.append(share)
        direction = direction - share * difference
    direction = direction / point.diagonal
    if history:
        change, difference = history[-1]
        scale = (change * difference).sum() / (difference.square() / point.diagonal).sum()
        direction = direction * scale
    for (change, difference), share in zip(history, reversed(shares), strict=True):
        back = (difference * direction).sum() / (change * difference).sum()
        direction = direction + (share - back) * change
    return direction
