"""Encoding of frames by a frozen encoder."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lightning_stdim.datamodules.frames.on_disk import Frames
from lightning_stdim.datamodules.frames.stacking import observations
from lightning_stdim.datamodules.pixels import CHANNELS
from lightning_stdim.encoders import frame_stack
from lightning_stdim.encoders.base import failed_on
from lightning_stdim.errors import ConfigurationError, EncoderError, LightningStdimError
from lightning_stdim.utils.eval_mode import evaluating
from lightning_stdim.utils.progress_bar import progress_bar


def encode(
    encoder: nn.Module,
    frames: Frames,
    positions: Tensor | None = None,
    *,
    episode_start: Tensor | None = None,
    batch_size: int = 256,
    device: torch.device | str | None = None,
    progress: bool = False,
) -> Tensor:
    """Encode frames in evaluation mode and without gradients.

    The encoder's weights, its device and the mode of every submodule are unchanged afterwards.

    Args:
        encoder: module from uint8 [B, C, H, W] to float [B, D]. C is its attribute
            ``in_channels``, the channels of the stacked frames of an observation; without this
            attribute the encoder takes single frames.
        frames: frames in memory or on disk, uint8 [N, H, W], or [N, 3, H, W] in colour.
        positions: positions of the frames to encode, int64 [n]; by default all frames.
        episode_start: positions of the episodes' first frames, int64 [E], ascending; frames of
            different episodes are never stacked. By default all frames are one episode.
        batch_size: number of frames per batch, B. It bounds the memory and changes results by
            rounding only.
        device: device of the computation; by default that of the encoder.
        progress: show a progress bar.

    Returns:
        float32 [n, D], on the device of the computation.

    Raises:
        EncoderError: the encoder is not an ``nn.Module``, fails on the frames, or returns anything
            but finite floating-point tensors [B, D] with the same D for every batch; or there are
            no frames.
        ConfigurationError: the encoder's channels are not a multiple of a frame's, or it was
            trained on frames of the other pixel format.
    """
    if not isinstance(encoder, nn.Module):
        raise EncoderError(
            f"an encoder is a torch.nn.Module from uint8 [B, C, H, W] to float [B, D], "
            f"not {type(encoder).__name__}"
        )
    if positions is None:
        positions = torch.arange(len(frames))
    given = "rgb" if len(frames.shape) == 4 else "luma"
    taken = getattr(encoder, "pixels", given)
    # A user's own attribute may be something else.
    if isinstance(taken, str) and taken in CHANNELS and taken != given:
        raise ConfigurationError(
            f"the encoder was trained on {taken} frames, and these are {given}: take data with "
            f"pixels={taken}"
        )
    if not len(positions):
        raise EncoderError("there are no frames to encode")
    tensors = [*encoder.parameters(), *encoder.buffers()]
    home = tensors[0].device if tensors else torch.device("cpu")
    target = home if device is None else torch.device(device)
    if episode_start is None:
        episode_start = torch.zeros(1, dtype=torch.int64)
    size = frame_stack(encoder, frames.shape[1:-2].numel())
    features: Tensor | None = None
    done = 0
    with (
        evaluating(encoder),
        torch.no_grad(),
        progress_bar("encoding frames", len(positions), enabled=progress) as update,
    ):
        try:
            if target != home:
                encoder.to(target)
            for batch in torch.split(positions, batch_size):
                stacked = observations(frames, batch, episode_start, size)  # [B, C, H, W]
                vectors = _encode_batch(encoder, stacked.to(target))  # [B, D]
                if features is None:
                    features = vectors.new_empty((len(positions), vectors.shape[1]))
                if vectors.shape[1] != features.shape[1]:
                    raise EncoderError(
                        f"the encoder returned {features.shape[1]} features for one batch and "
                        f"{vectors.shape[1]} for another; all frames need the same number"
                    )
                features[done : done + len(batch)] = vectors
                done += len(batch)
                update(done, "")
        finally:
            if target != home:
                encoder.to(home)
    assert features is not None
    return features


def _encode_batch(encoder: nn.Module, frames: Tensor) -> Tensor:
    """Encode one batch, uint8 [B, C, H, W] to float32 [B, D], and check the result."""
    expected = f"a float tensor [B, D] with B = {len(frames)} for uint8 {list(frames.shape)}"
    name = f"the encoder {type(encoder).__name__}"
    try:
        vectors = encoder(frames)
    except LightningStdimError:
        raise
    except Exception as error:  # a user's module may raise anything
        raise failed_on(encoder, frames, error) from error
    if not isinstance(vectors, Tensor):
        raise EncoderError(f"{name} must return {expected}, not a {type(vectors).__name__}")
    if vectors.ndim != 2 or len(vectors) != len(frames) or not vectors.shape[1]:
        raise EncoderError(f"{name} must return {expected}, not shape {list(vectors.shape)}")
    if not vectors.is_floating_point():
        raise EncoderError(f"{name} must return {expected}, not {vectors.dtype}")
    if not vectors.isfinite().all():
        raise EncoderError(
            f"the encoder returned NaN or infinite values in a batch of shape "
            f"{list(vectors.shape)}; probe a checkpoint from before its training diverged"
        )
    return vectors.detach().float()
