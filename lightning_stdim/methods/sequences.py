"""Encoding of frame sequences."""

from __future__ import annotations

from torch import Tensor, nn


def encode_sequences(encoder: nn.Module, frames: Tensor) -> Tensor:
    """Encode every frame of a batch of sequences in one pass.

    Args:
        encoder: module from uint8 [B, C, 210, 160] to float [B, D].
        frames: uint8 [T, B, C, 210, 160], values 0 to 255.

    Returns:
        float [B, T, D].
    """
    vectors: Tensor = encoder(frames.flatten(0, 1))
    return vectors.view(*frames.shape[:2], -1).transpose(0, 1)
