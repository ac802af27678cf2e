"""The probes' classifiers, one per variable: linear, or with a hidden layer."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

NUM_CLASSES = 256
"""Number of classes of a variable: a label is one byte of RAM."""


class LinearHeads(nn.Module):
    """V linear layers on the same features, each from D features to K classes.

    They are initialised like ``nn.Linear``, uniformly in +-1/sqrt(D), with one random generator per
    variable. So the initial weights of a head depend on the seed and the variable's name alone, and
    not on the other heads or the global random state.

    Args:
        variables: names of the V variables, in column order.
        in_features: number of features, D.
        num_classes: number of classes, K.
        classes: the classes that may be predicted for each variable, bool [V, K]; by default all.
            The logits of the others are minus infinity.
        seed: random seed of the initialisation.
    """

    excluded: Tensor | None

    def __init__(
        self,
        variables: Sequence[str],
        in_features: int,
        *,
        num_classes: int = NUM_CLASSES,
        classes: Tensor | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.variables = tuple(variables)
        self.num_classes = num_classes
        self.register_buffer("excluded", None if classes is None else ~classes, persistent=False)
        # A list: names of variables may be names of nn.Module's own attributes.
        self.heads = nn.ModuleList()
        for name in self.variables:
            head = self._head(in_features).to_empty(device="cpu")
            generator = torch.Generator().manual_seed((seed << 32) + zlib.crc32(name.encode()))
            for layer in head.modules():
                if isinstance(layer, nn.Linear):
                    bound = layer.in_features**-0.5
                    nn.init.uniform_(layer.weight, -bound, bound, generator=generator)
                    nn.init.uniform_(layer.bias, -bound, bound, generator=generator)
            self.heads.append(head)

    def _head(self, in_features: int) -> nn.Module:
        """Make the layers of one variable, without values."""
        return nn.Linear(in_features, self.num_classes, device="meta")

    def active(self) -> list[int]:
        """List the columns of the heads that are still trained, that is require a gradient."""
        return [v for v, head in enumerate(self.heads) if next(head.parameters()).requires_grad]

    def forward(self, features: Tensor, columns: Sequence[int] | None = None) -> Tensor:
        """Compute the logits.

        Args:
            features: float [B, D].
            columns: numbers of the A heads to compute; all V by default.

        Returns:
            float [B, A, K].
        """
        weight, bias = self._stacked(columns)
        logits = F.linear(features, weight, bias).view(len(features), -1, self.num_classes)
        return self._without_excluded(logits, columns)

    @staticmethod
    @torch.no_grad()
    def gradients(
        parameters: Sequence[Tensor],
        features: Tensor,
        labels: Tensor,
        excluded: Tensor | None,
        *,
        out: Sequence[Tensor],
    ) -> None:
        """Compute the gradient of each head's own mean cross-entropy, in closed form.

        The gradient of a frame with respect to the logits is softmax(logits) - onehot(label).
        Autograd takes twice as long for the same, which is most of the time of a training step.

        Args:
            parameters: stacked weights and biases of A heads, float [A, K, D] and [A, K].
            features: float [B, D].
            labels: int64 [B, A].
            excluded: classes that these heads must not predict, bool [A, K]; None if there are
                none.
            out: tensors to write the gradients to, contiguous, with the shapes of the parameters.
        """
        weight, bias = parameters
        logits = torch.addmm(bias.flatten(), features, weight.flatten(0, 1).T)
        errors = _errors(logits.view(len(features), *bias.shape), labels, excluded).flatten(1)
        torch.mm(errors.T, features, out=out[0].view(errors.shape[1], -1))
        torch.sum(errors, 0, out=out[1].view(-1))

    def _without_excluded(self, logits: Tensor, columns: Sequence[int] | None) -> Tensor:
        if self.excluded is None:
            return logits
        excluded = self.excluded if columns is None else self.excluded[columns]
        return logits.masked_fill(excluded, -torch.inf)

    def _stacked(self, columns: Sequence[int] | None) -> tuple[Tensor, Tensor]:
        chosen = range(len(self.heads)) if columns is None else columns
        heads = [cast(nn.Linear, self.heads[v]) for v in chosen]
        return (
            torch.cat([head.weight for head in heads]),  # [A * K, D]
            torch.cat([head.bias for head in heads]),  # [A * K]
        )


class MLPHeads(LinearHeads):
    """V networks with one hidden layer of H units and ReLU, otherwise like :class:`LinearHeads`.

    Section 7.3.2 of the challenge report on Anand et al. 2019 asks for this probe: does a
    score change if the state need not be linearly readable?

    Args:
        variables: names of the V variables, in column order.
        in_features: number of features, D.
        hidden: number of hidden units, H.
        num_classes: number of classes, K.
        classes: the classes that may be predicted for each variable, bool [V, K]; by default all.
        seed: random seed of the initialisation.
    """

    def __init__(
        self,
        variables: Sequence[str],
        in_features: int,
        *,
        hidden: int,
        num_classes: int = NUM_CLASSES,
        classes: Tensor | None = None,
        seed: int = 0,
    ) -> None:
        self.hidden = hidden
        super().__init__(
            variables, in_features, num_classes=num_classes, classes=classes, seed=seed
        )

    def _head(self, in_features: int) -> nn.Module:
        """Make the layers of one variable, without values."""
        return nn.Sequential(
            nn.Linear(in_features, self.hidden, device="meta"),
            nn.ReLU(),
            nn.Linear(self.hidden, self.num_classes, device="meta"),
        )

    def forward(self, features: Tensor, columns: Sequence[int] | None = None) -> Tensor:
        """Compute the logits.

        Args:
            features: float [B, D].
            columns: numbers of the A heads to compute; all V by default.

        Returns:
            float [B, A, K].
        """
        chosen = range(len(self.heads)) if columns is None else columns
        logits = torch.stack([self.heads[v](features) for v in chosen], dim=1)
        return self._without_excluded(logits, columns)

    @staticmethod
    @torch.no_grad()
    def gradients(
        parameters: Sequence[Tensor],
        features: Tensor,
        labels: Tensor,
        excluded: Tensor | None,
        *,
        out: Sequence[Tensor],
    ) -> None:
        """Compute the gradient of each head's own mean cross-entropy, in closed form.

        Args:
            parameters: stacked weights and biases of both layers of A heads, float [A, H, D],
                [A, H], [A, K, H] and [A, K].
            features: float [B, D].
            labels: int64 [B, A].
            excluded: classes that these heads must not predict, bool [A, K]; None if there are
                none.
            out: tensors to write the gradients to, contiguous, with the shapes of the parameters.
        """
        # One product per layer for all heads: many small products cost more than their arithmetic.
        inner, inner_bias, outer, outer_bias = parameters
        hidden = F.linear(features, inner.flatten(0, 1), inner_bias.flatten()).relu_()
        hidden = hidden.view(len(features), *inner_bias.shape).transpose(0, 1)  # [A, B, H]
        logits = torch.baddbmm(outer_bias.unsqueeze(1), hidden, outer.mT).transpose(0, 1)
        errors = _errors(logits, labels, excluded).transpose(0, 1)  # [A, B, K]
        back = torch.bmm(errors, outer).mul_(hidden > 0)  # [A, B, H]
        torch.matmul(back.mT, features, out=out[0])
        torch.sum(back, 1, out=out[1])
        torch.bmm(errors.mT, hidden, out=out[2])
        torch.sum(errors, 1, out=out[3])


def _errors(logits: Tensor, labels: Tensor, excluded: Tensor | None) -> Tensor:
    """Compute the gradient of the mean cross-entropies with respect to the logits, [B, A, K]."""
    if excluded is not None:
        logits = logits.masked_fill(excluded, -torch.inf)
    errors = logits.softmax(2)
    true = labels.unsqueeze(2)
    errors.scatter_add_(2, true, errors.new_full((1, 1, 1), -1.0).expand(true.shape))
    return errors.div_(len(labels))
