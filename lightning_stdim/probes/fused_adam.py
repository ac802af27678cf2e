"""Heads that learn together: a step of all of them takes no more operations than one of one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import groupby

import torch
from torch import Tensor

from lightning_stdim.probes.heads import LinearHeads

Step = Callable[[Tensor, Tensor], None]
MOMENTS = ("exp_avg", "exp_avg_sq")
"""What Adam keeps of every weight."""


@contextmanager
def side_by_side(
    heads: LinearHeads, optimizer: torch.optim.Optimizer
) -> Iterator[tuple[list[int], Step]]:
    """Lay the heads that still learn into one tensor per layer, and back when all is done.

    A step is then a few operations, whatever the number of heads. Those of one learning rate lie
    side by side and are one group of Adam's. It computes every weight by itself, so a head's
    weights are those of training it on its own, but for rounding where there is a hidden layer.
    After an error the heads are as they were before.

    Args:
        heads: those that require gradients have taken equally many steps.
        optimizer: fused Adam with one group per variable, called by its name; its learning rates
            are used, and its moments go on.

    Yields:
        The numbers of the A heads in the order in which they lie, and a function that takes a step
        of all of them, given features, float [B, D], and labels, int64 [B, A].
    """
    rates = {group["name"]: group["lr"] for group in optimizer.param_groups}

    def rate_of(column: int) -> float:
        rate: float = rates[heads.variables[column]]
        return rate

    columns = sorted(heads.active(), key=rate_of)
    own = list(zip(*(heads.heads[v].parameters() for v in columns), strict=True))  # by layer
    together = [torch.stack(layer).detach() for layer in own]
    gradients = [torch.empty_like(layer) for layer in together]
    excluded = None if heads.excluded is None else heads.excluded[columns]

    groups, parts = [], []  # a part: of a layer, the heads of a rate
    start = 0
    for rate, alike in groupby(columns, key=rate_of):
        rows = slice(start, start := start + len(list(alike)))
        views = [layer[rows] for layer in together]
        for view, layer, gradient in zip(views, own, gradients, strict=True):
            view.grad = gradient[rows]
            parts.append((view, layer[rows]))
        groups.append({"params": views, "lr": rate})
    defaults = optimizer.defaults
    adam = torch.optim.Adam(groups, betas=defaults["betas"], eps=defaults["eps"], fused=True)
    for view, parameters in parts:
        states = [optimizer.state[parameter] for parameter in parameters]
        if states[0]:
            moments = {name: torch.stack([state[name] for state in states]) for name in MOMENTS}
            adam.state[view] = {"step": states[0]["step"].clone(), **moments}

    def step(features: Tensor, labels: Tensor) -> None:
        heads.gradients(together, features, labels, excluded, out=gradients)
        adam.step()

    yield columns, step
    with torch.no_grad():
        for view, parameters in parts:
            state = adam.state[view]
            if not state:  # no step was taken
                continue
            for row, parameter in enumerate(parameters):
                parameter.copy_(view[row])
                optimizer.state[parameter] = {
                    "step": state["step"].clone(),
                    **{name: state[name][row].clone() for name in MOMENTS},
                }
