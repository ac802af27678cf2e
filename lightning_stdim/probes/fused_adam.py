"""Adam for many heads at once: a step of all of them takes as many operations as a step of one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import groupby

import torch
from torch import Tensor

from lightning_stdim.probes.heads import LinearHeads

Step = Callable[[Tensor, Tensor], None]
MOMENTS = ("exp_avg", "exp_avg_sq")
"""The state that Adam keeps of every weight."""


@contextmanager
def fused_adam(
    heads: LinearHeads, optimizer: torch.optim.Optimizer
) -> Iterator[tuple[list[int], Step]]:
    """Stack the heads that are still trained, one tensor per layer, and unstack them at the end.

    A step is then a few operations, whatever the number of heads. The heads of equal learning rate
    are adjacent and make one parameter group. Adam treats every weight by itself, so each head gets
    the weights that it would get if trained alone, up to rounding if it has a hidden layer. After
    an error the heads are as they were before.

    Args:
        heads: the heads; those that require gradients must all have taken the same number of steps.
        optimizer: fused Adam with one parameter group per variable, which has the variable's name.
            Its learning rates are used, and its moments are continued.

    Yields:
        The numbers of the A heads in the order of the stack, and a function that takes a step of
        all of them. Its arguments are the features, float [B, D], and the labels, int64 [B, A].
    """
    rates = {group["name"]: group["lr"] for group in optimizer.param_groups}

    def rate_of(column: int) -> float:
        rate: float = rates[heads.variables[column]]
        return rate

    columns = sorted(heads.active(), key=rate_of)
    layers = list(zip(*(heads.heads[v].parameters() for v in columns), strict=True))
    stacked = [torch.stack(layer).detach() for layer in layers]
    gradients = [torch.empty_like(layer) for layer in stacked]
    excluded = None if heads.excluded is None else heads.excluded[columns]

    groups, parts = [], []  # a part is one layer of the heads of one learning rate
    start = 0
    for rate, same_rate in groupby(columns, key=rate_of):
        rows = slice(start, start := start + len(list(same_rate)))
        views = [layer[rows] for layer in stacked]
        for view, layer, gradient in zip(views, layers, gradients, strict=True):
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
        heads.gradients(stacked, features, labels, excluded, out=gradients)
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
