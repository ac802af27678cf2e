"""The optimiser of the methods, and checks of its arguments."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from pytorch_lightning import LightningModule
from pytorch_lightning.plugins.precision import MixedPrecision
from pytorch_lightning.utilities.types import OptimizerLRScheduler

from lightning_stdim.errors import ConfigurationError
from lightning_stdim.utils.checks import integer


def check_optimisation(*, lr: float, patience: int | None, warmup_steps: int = 0) -> None:
    """Check the learning rate, the patience and the warm-up of a model.

    Args:
        lr: learning rate, positive.
        patience: patience of early stopping, at least 1 epoch; None without early stopping.
        warmup_steps: steps in which the learning rate rises, at least 0.

    Raises:
        ConfigurationError: a value is out of its range.
    """
    if not lr > 0 or (patience is not None and patience < 1):
        raise ConfigurationError(
            f"model.lr={lr} must be positive and model.patience={patience} at least 1 epoch"
        )
    integer("model.warmup_steps", warmup_steps)


def may_be_fused(module: LightningModule) -> bool:
    """Tell whether a module's Adam may be PyTorch's fused one, which is the fastest.

    Args:
        module: the module, with or without a trainer.

    Returns:
        False if its trainer clips gradients in mixed precision: Lightning refuses the fused one
        there, because it undoes the scaling of gradients itself, after the clipping.
    """
    trainer = module._trainer
    return (
        trainer is None
        or not trainer.gradient_clip_val
        or not isinstance(trainer.precision_plugin, MixedPrecision)
    )


def warmed_up_adam(
    parameters: Iterable[torch.nn.Parameter],
    lr: float,
    eps: float,
    warmup_steps: int,
    *,
    fused: bool = True,
) -> OptimizerLRScheduler:
    """Make Adam whose learning rate rises linearly at the beginning.

    Args:
        parameters: what is trained.
        lr: learning rate after the warm-up.
        eps: Adam's epsilon.
        warmup_steps: W; step k <= W, counted from 1, takes ``lr * k / (W + 1)``.
        fused: use PyTorch's fused implementation; see :func:`may_be_fused`.

    Returns:
        What Lightning's ``configure_optimizers`` returns; without a warm-up the optimiser alone.
    """
    adam = torch.optim.Adam(parameters, lr=lr, eps=eps, fused=fused)
    if not warmup_steps:
        return adam
    rising = torch.optim.lr_scheduler.LinearLR(
        adam, start_factor=1 / (warmup_steps + 1), total_iters=warmup_steps
    )
    return {"optimizer": adam, "lr_scheduler": {"scheduler": rising, "interval": "step"}}
