"""What the benchmarks of training time: frames like a game's, and what is done with them."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from lightning_stdim.datamodules.batches import SequenceBatch
from lightning_stdim.methods import SSLMethod


def frame_pool(count: int) -> Tensor:
    """Make uint8 frames [count, 210, 160], mostly background, like a game's."""
    generator = torch.Generator().manual_seed(0)
    background = torch.randint(0, 256, (210, 160), generator=generator, dtype=torch.uint8)
    frames = background.repeat(count, 1, 1)
    for frame, row, column in zip(
        frames,
        torch.randint(0, 200, (count,), generator=generator),
        torch.randint(0, 150, (count,), generator=generator),
        strict=True,
    ):
        frame[row : row + 8, column : column + 4] = 236
    return frames


def pairs(count: int, device: torch.device) -> SequenceBatch:
    """Make a batch of pairs."""
    frames = frame_pool(2 * count).view(2, count, 1, 210, 160).to(device)
    return SequenceBatch(frames, torch.arange(count, device=device))


def encoder_passes(encoder: nn.Module, frames: Tensor) -> Callable[[], None]:
    """Give the floor of a training step: the encoder forwards and backwards, and nothing else."""

    def run() -> None:
        encoder.zero_grad(set_to_none=True)
        encoder(frames).square().mean().backward()

    return run


def training_step(method: SSLMethod, loss: Callable[[], Tensor]) -> Callable[[], None]:
    """Give a method's training step, without a trainer.

    Args:
        method: whose optimiser and target networks follow.
        loss: computes the loss of a batch, float [].
    """
    optimizer = method.configure_optimizers()
    assert optimizer is not None

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        loss().backward()
        optimizer.step()
        method.on_before_zero_grad(optimizer)  # where target networks follow

    return step
