"""L2-regularised multinomial logistic regression, solved to its optimum.

The objective of one variable, over features z whose last one is always 1, is::

    F(W) = mean_i [ logsumexp(z_i W) - (z_i W)[y_i] ] + 1/2 sum_jk penalty_j W_jk^2

with penalty_j = lambda, but 0 for the bias. It is convex; the minimum is unique up to a constant
added to all biases. In scikit-learn's terms C = 1 / (lambda * n).

The solver is L-BFGS (Nocedal and Wright 2006, section 7.2), preconditioned by the inverse of the
Hessian without its blocks between classes. The block of class k is
``mean_i p_ik (1 - p_ik) z_i z_i^T + penalty``. It depends on the class, because the features vary
differently in the frames where that class is uncertain. This is why one matrix for all classes
(Boehning, Ann. Inst. Stat. Math. 44, 1992), or the diagonals of the blocks alone, need hundreds of
iterations where the blocks need tens.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

CHUNK = 1024
"""Number of frames per matrix product, so few that their logits stay in the processor's cache."""
NOTHING = 1e-30
"""Probabilities below this value count as zero in the gradient."""
MEMORY = 20
"""Number of steps and gradient differences that L-BFGS keeps."""
RENEW = 100
"""Number of evaluations after which the preconditioner is computed again, at the cost of twenty."""
WINDOW = 5
"""Number of last steps whose decrease of the objective is compared with the tolerance."""
NEGLIGIBLE = 1e-3
"""Frames with less than this share of a class's largest weight are left out of its block."""
SAMPLE = 4
"""Largest number of frames in a block, per column of the block."""
MOST_EVALUATIONS = 2000
"""Number of evaluations after which a search ends in any case; far more than is needed."""
MOST_NUMBERS = 2**26
"""Largest number of elements in the blocks of all classes together (256 MB)."""
WIDEST = 768
"""Largest number of columns of a block, whose cost is cubic in it."""


@dataclass(frozen=True)
class Logistic:
    """The logistic regression of one variable.

    Attributes:
        features: float [n, J], in principal coordinates with the largest variances last, followed
            by the constant 1.
        labels: int64 [n], values 0 to K - 1, each of which occurs.
        num_classes: number of classes, K.
    """

    features: Tensor
    labels: Tensor
    num_classes: int

    def start(self) -> Tensor:
        """Return the optimum for infinite regularisation: log frequencies as biases, [J, K]."""
        weights = self.features.new_zeros(self.features.shape[1], self.num_classes)
        weights[-1] = self.labels.bincount(minlength=self.num_classes).div(len(self.labels)).log()
        return weights

    def evaluate(self, weights: Tensor, penalty: Tensor) -> Point:
        """Compute the objective and its gradient.

        Args:
            weights: float [J, K].
            penalty: regularisation of each feature's weights, float [J].

        Returns:
            The weights with the objective and its gradient there.
        """
        gradient = torch.zeros_like(weights)
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
            # Products of subnormal numbers take several times as long.
            nn.functional.threshold(p, NOTHING, 0.0, inplace=True)
            p.scatter_add_(1, y, p.new_full((1, 1), -1.0).expand_as(y))
            gradient.addmm_(z.T, p)
        n = len(self.labels)
        ridge = penalty.unsqueeze(1) * weights  # [J, K]
        value = loss / n + 0.5 * (ridge.double() * weights).sum()
        return Point(weights, value.item(), gradient.div_(n).add_(ridge))

    def precondition(self, weights: Tensor, penalty: Tensor) -> Preconditioner:
        """Invert the diagonal blocks of the Hessian, one per class.

        Args:
            weights: weights at which the Hessian is taken, float [J, K].
            penalty: regularisation of each feature's weights, float [J].

        Returns:
            The inverses, which are always symmetric and positive definite.
        """
        p = (self.features @ weights).softmax(1)
        certainty = (p * (1 - p)).T.contiguous() / len(p)  # [K, n]
        n_classes, width = self.num_classes, self.features.shape[1]
        wide = max(1, min(width, WIDEST, math.isqrt(MOST_NUMBERS // n_classes)))
        alone = certainty @ self.features[:, : width - wide].square() + penalty[: width - wide]
        blocks = weights.new_empty(n_classes, wide, wide)
        for block, weight in zip(blocks, certainty, strict=True):
            frames = (weight >= NEGLIGIBLE * weight.max()).nonzero().squeeze(1)
            every = -(-len(frames) // (SAMPLE * wide))  # an estimate from a part of them will do
            frames = frames[::every]
            z = self.features[frames, width - wide :] * (every * weight[frames]).sqrt().unsqueeze(1)
            torch.mm(z.T, z, out=block)
        diagonal = blocks.diagonal(dim1=1, dim2=2)
        diagonal += penalty[width - wide :]
        # Neither rounding nor a class that is certain in all frames may make a block singular.
        diagonal += 1e-5 * diagonal.mean(1, keepdim=True) + 1e-9
        factors, failed = torch.linalg.cholesky_ex(blocks)
        if failed.any():  # columns so similar in a class's frames that more is needed
            diagonal[failed > 0] *= 1.001
            factors = torch.linalg.cholesky(blocks)
        return Preconditioner(
            alone.clamp_(min=1e-12).reciprocal_(), torch.cholesky_inverse(factors)
        )


class Preconditioner(NamedTuple):
    """The inverses of the Hessian's blocks, whole for the last W columns only.

    Attributes:
        diagonals: inverses of the diagonals of the first J - W columns, float [K, J - W].
        blocks: inverses of the blocks of the last W columns, float [K, W, W].
    """

    diagonals: Tensor
    blocks: Tensor

    def __matmul__(self, gradient: Tensor) -> Tensor:
        """Multiply by a gradient, [J, K]."""
        few = self.diagonals.shape[1]
        # Rows rather than columns: twice as fast, and the blocks are symmetric.
        rest = torch.bmm(gradient[few:].T.unsqueeze(1), self.blocks).squeeze(1)
        return torch.cat([gradient[:few].T * self.diagonals, rest], dim=1).T


class Point(NamedTuple):
    """Weights with the objective and its gradient there.

    Attributes:
        weights: float [J, K].
        value: value of the objective.
        gradient: gradient of the objective, float [J, K].
    """

    weights: Tensor
    value: float
    gradient: Tensor


class Optimum(NamedTuple):
    """The result of a minimisation.

    Attributes:
        weights: float [J, K].
        value: value of the objective.
        suboptimality: estimated distance of the objective to its minimum. It can be far too small
            if there is hardly any regularisation. It is infinite if rounding ended the search
            within its first steps.
        evaluations: number of evaluations of the objective.
    """

    weights: Tensor
    value: float
    suboptimality: float
    evaluations: int


def minimise(problem: Logistic, weights: Tensor, penalty: Tensor, *, tolerance: float) -> Optimum:
    """Minimise by preconditioned L-BFGS with a line search that never accepts a higher objective.

    Args:
        problem: the logistic regression.
        weights: weights to start from, float [J, K].
        penalty: regularisation of each feature's weights, float [J], at least 0.
        tolerance: the search ends when the estimated distance to the minimum is below this share of
            the objective.

    Returns:
        The optimum, or the best point found if rounding hides any further decrease.
    """
    point = problem.evaluate(weights, penalty)
    inverse = problem.precondition(weights, penalty)
    scaled = inverse @ point.gradient
    history: deque[_Pair] = deque(maxlen=MEMORY)
    values: deque[float] = deque(maxlen=WINDOW + 1)
    evaluations, renewed = 1, 0
    while True:
        values.append(point.value)
        # The estimate from the classes' blocks is too small, by far if neighbouring classes are
        # uncertain in the same frames. The decrease over the last few steps is not.
        recent = values[0] - point.value if len(values) > WINDOW else float("inf")
        suboptimality = max(0.5 * _dot(point.gradient, scaled), recent)
        if suboptimality <= tolerance * point.value or evaluations >= MOST_EVALUATIONS:
            break
        direction = _direction(point.gradient, scaled, history)
        slope = _dot(point.gradient, direction)
        step = 1.0
        while True:
            trial = problem.evaluate(point.weights + step * direction, penalty)
            evaluations += 1
            if trial.value <= point.value + 1e-4 * step * slope:
                break
            # Minimum, within bounds, of the parabola through both values with this slope.
            excess = trial.value - point.value - step * slope
            step *= min(0.5, max(0.1, -slope * step / (2 * excess)))
            if step < 1e-4:
                return Optimum(point.weights, point.value, suboptimality, evaluations)
        change, difference = trial.weights - point.weights, trial.gradient - point.gradient
        curvature = _dot(change, difference)
        if curvature > 0:  # always, except for rounding
            history.append(_Pair(change, difference, inverse @ difference, curvature))
        point = trial
        if evaluations - renewed >= RENEW:
            inverse, renewed = problem.precondition(point.weights, penalty), evaluations
            for k, pair in enumerate(history):
                history[k] = pair._replace(scaled=inverse @ pair.difference)
        scaled = inverse @ point.gradient
    return Optimum(point.weights, point.value, suboptimality, evaluations)


class _Pair(NamedTuple):
    """A step, the difference of gradients, that difference preconditioned, and the curvature."""

    change: Tensor
    difference: Tensor
    scaled: Tensor
    curvature: float


def _direction(gradient: Tensor, scaled: Tensor, history: deque[_Pair]) -> Tensor:
    """Compute the search direction by the two loops of Nocedal and Wright 2006, algorithm 7.4."""
    direction, result = -gradient, -scaled
    shares = []
    for pair in reversed(history):
        share = _dot(pair.change, direction) / pair.curvature
        shares.append(share)
        direction = direction - share * pair.difference
        result = result - share * pair.scaled
    if history:
        newest = history[-1]
        result = result * (newest.curvature / _dot(newest.difference, newest.scaled))
    for pair, share in zip(history, reversed(shares), strict=True):
        back = _dot(pair.difference, result) / pair.curvature
        result = result + (share - back) * pair.change
    return result


def _dot(a: Tensor, b: Tensor) -> float:
    """Sum the products of all elements, in double precision."""
    return (a.double() * b).sum().item()
