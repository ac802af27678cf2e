"""One linear classifier per variable, all computed as one matrix product."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

NUM_CLASSES = 256
"""A label is one byte of RAM."""


class LinearHeads(nn.Module):
    """V linear layers D -> K on the same features.

    Initialised like ``nn.Linear``, uniformly in +-1/sqrt(D), from a generator of its own per
    variable: a head's initialisation depends on the seed and the variable's name alone, not on
    which other heads exist, nor on the global random state.

    Args:
        variables: names of the V variables, in column order.
        in_features: D.
        num_classes: K.
        seed: of the initialisation.
    """

    def __init__(
        self,
        variables: Sequence[str],
        in_features: int,
        *,
        num_classes: int = NUM_CLASSES,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.variables = tuple(variables)
        self.num_classes = num_classes
        # A list: names of variables may be names of nn.Module's own attributes.
        self.heads = nn.ModuleList()
        for name in self.variables:
            head = nn.Linear(in_features, num_classes, device="meta").to_empty(device="cpu")
            generator = torch.Generator().manual_seed((seed << 32) + zlib.crc32(name.encode()))
            with torch.no_grad():
                for parameter in head.parameters():
                    bound = in_features**-0.5
                    parameter.uniform_(-bound, bound, generator=generator)
            self.heads.append(head)

    def active(self) -> list[int]:
        """List the columns of the heads that still learn: those that require a gradient."""
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
        return F.linear(features, weight, bias).view(len(features), -1, self.num_classes)

    @torch.no_grad()
    def set_gradients(self, features: Tensor, labels: Tensor, columns: Sequence[int]) -> None:
        """Set each head's gradient of its own mean cross-entropy, in closed form.

        Per frame the gradient with respect to the logits is softmax(logits) - onehot(label).
        Autograd computes the same in twice the time, which is most of a probe's training step.

        Args:
            features: float [B, D].
            labels: int64 [B, V].
            columns: numbers of the A heads to compute; the others' gradients are left alone.
        """
        weight, bias = self._stacked(columns)
        logits = torch.addmm(bias, features, weight.T)
        errors = logits.view(len(features), -1, self.num_classes).softmax(2)  # [B, A, K]
        true = labels[:, columns].unsqueeze(2)
        errors.scatter_add_(2, true, errors.new_full((1, 1, 1), -1.0).expand(true.shape))
        errors = errors.flatten(1).div_(len(features))  # [B, A * K]
        weight_gradients = torch.split(errors.T @ features, self.num_classes)
        bias_gradients = torch.split(errors.sum(0), self.num_classes)
        for v, weight, bias in zip(columns, weight_gradients, bias_gradients, strict=True):
            self.heads[v].weight.grad = weight
            self.heads[v].bias.grad = bias

    def _stacked(self, columns: Sequence[int] | None) -> tuple[Tensor, Tensor]:
        chosen = range(len(self.heads)) if columns is None else columns
        heads = [cast(nn.Linear, self.heads[v]) for v in chosen]
        return (
            torch.cat([head.weight for head in heads]),  # [A * K, D]
            torch.cat([head.bias for head in heads]),  # [A * K]
        )
