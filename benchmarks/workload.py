"""Work for the benchmarks to time: frames like a game's, encoder passes and training steps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from lightning_stdim.datamodules.batches import SequenceBatch
from lightning_stdim.methods import SSLMethod
from lightning_stdim.methods.target import TargetNetworkMethod


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


class Loss(nn.Module):
    """A method's loss as a forward pass, which is what DDP and ``functional_call`` take."""

    def __init__(self, method: SSLMethod) -> None:
        super().__init__()
        self.method = method

    def forward(self, batch: SequenceBatch) -> Tensor:
        """Compute the loss, float []."""
        return self.method.loss(batch)["loss"]


def contiguous(encoder: Any) -> Any:
    """Make an encoder keep frames and weights contiguous, not channels last, and return it."""
    encoder.local_map = lambda frames: encoder.local_layers(frames.float().mul_(1 / 255))
    return encoder.to(memory_format=torch.contiguous_format)


def encoder_passes(encoder: nn.Module, frames: Tensor) -> Callable[[], None]:
    """Make the floor of a training step: forward and backward pass of the encoder alone."""

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
    assert isinstance(optimizer, torch.optim.Optimizer)  # there is no warm-up

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        loss().backward()
        optimizer.step()
        if isinstance(method, TargetNetworkMethod):
            method.update_target()

    return step
