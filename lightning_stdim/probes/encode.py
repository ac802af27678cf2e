"""Run a frozen encoder over frames, once."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lightning_stdim.datamodules.frames.on_disk import Frames
from lightning_stdim.datamodules.frames.stacking import observations
from lightning_stdim.datamodules.pixels import CHANNELS
from lightning_stdim.encoders import frame_stack
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

    The encoder is left as it was found: its weights, its device, the mode of every submodule.

    Args:
        encoder: takes uint8 [B, C, H, W], returns float [B, D]. C is its attribute
            ``in_channels``, those of as many successive frames as make up an observation, or
            those of one frame.
        frames: uint8 [N, H, W], or [N, 3, H, W] in colour, in memory or on disk.
        positions: int64 [n], which frames; all by default.
        episode_start: int64 [E], ascending: positions of the frames before which nothing is
            stacked; by default the first one's alone.
        batch_size: B; bounds the memory, does not change the result beyond rounding.
        device: where to compute; by default where the encoder's weights are.
        progress: show a progress bar.

    Returns:
        float32 [n, D], on the device of the computation.

    Raises:
        EncoderError: if it is not an ``nn.Module``, fails on the frames, or returns anything but a
            finite floating-point tensor [B, D] with the same D for every batch.
        ConfigurationError: if it takes a number of channels that no number of frames has, or was
            trained on luma frames and these are in colour, or the other way round.
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
    there = home if device is None else torch.device(device)
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
            if there != home:
                encoder.to(there)
            for batch in torch.split(positions, batch_size):
                seen = observations(frames, batch, episode_start, size)  # [B, C, H, W]
                vectors = _vectors(encoder, seen.to(there))  # [B, D]
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
            if there != home:
                encoder.to(home)
    assert features is not None
    return features


def _vectors(encoder: nn.Module, frames: Tensor) -> Tensor:
    """Encode one batch, uint8 [B, C, H, W] -> float32 [B, D], and check what comes back."""
    expected = f"a float tensor [B, D] with B = {len(frames)} for uint8 {list(frames.shape)}"
    try:
        vectors = encoder(frames)
    except LightningStdimError:
        raise
    except (RuntimeError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise EncoderError(
            f"the encoder {type(encoder).__name__} failed on uint8 frames "
            f"{list(frames.shape)}: {error}"
        ) from error
    if not isinstance(vectors, Tensor):
        raise EncoderError(f"the encoder must return {expected}, not a {type(vectors).__name__}")
    if vectors.ndim != 2 or len(vectors) != len(frames) or not vectors.shape[1]:
        raise EncoderError(f"the encoder must return {expected}, not shape {list(vectors.shape)}")
    if not vectors.is_floating_point():
        raise EncoderError(f"the encoder must return {expected}, not {vectors.dtype}")
    if not vectors.isfinite().all():
        raise EncoderError(
            f"the encoder returned NaN or infinite values in a batch of shape "
            f"{list(vectors.shape)}; probe a checkpoint from before its training diverged"
        )
    return vectors.detach().float()
