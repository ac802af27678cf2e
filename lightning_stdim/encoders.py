"""Backbones: frames -> global vector, and frames -> (local map, global vector).

One backbone serves every method and probe. All of them take uint8 frames and scale them by 1/255
themselves, so that whoever holds the frames can keep them as bytes until they are on the device.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from lightning_stdim.errors import ConfigurationError, EncoderError
from lightning_stdim.imports import import_from

FRAME_HEIGHT, FRAME_WIDTH = 210, 160


class NatureEncoder(nn.Module):
    """The convolutional network of the ST-DIM paper, on whole 210x160 frames.

    Convolutions 32@8x8/4, 64@4x4/2, 128@4x4/2 and 64@3x3/1, each followed by ReLU; the flattened
    64 x 9 x 6 = 3456 values go through one linear layer without an activation. Weights are
    orthogonal with gain sqrt(2), biases zero. The *local map* is the third convolution's output:
    each of its 11 x 8 positions sees 44 x 44 pixels.

    Source: Anand et al. 2019 (arXiv 1906.08226), section 4 and appendix; the initialisation is the
    reference implementation's. Differs from Mnih et al. 2015 in the input size, the third and
    fourth convolutions and the missing final ReLU.

    The weights are kept in channels-last memory format, which is the fastest on CPU
    (``benchmarks/step.py``) and what tensor cores want; results do not depend on it.

    Args:
        in_channels: channels of a frame: 1 for luma.
        feature_dim: size D of the global vector.
    """

    def __init__(self, in_channels: int = 1, feature_dim: int = 256) -> None:
        super().__init__()
        if in_channels < 1 or feature_dim < 1:
            raise ConfigurationError(
                f"in_channels={in_channels} and feature_dim={feature_dim} must both be at least 1"
            )
        self.in_channels = in_channels
        self.feature_dim = feature_dim
        self.local_channels = 128
        self.local_layers = nn.Sequential(
            nn.Conv2d(in_channels, 32, 8, stride=4),
            nn.ReLU(inplace=True),
            nn.Conv2d(32, 64, 4, stride=2),
            nn.ReLU(inplace=True),
            nn.Conv2d(64, self.local_channels, 4, stride=2),
            nn.ReLU(),  # not in place: its input is never needed, its output is the local map
        )
        self.global_layers = nn.Sequential(
            nn.Conv2d(self.local_channels, 64, 3, stride=1),
            nn.ReLU(inplace=True),
            nn.Flatten(),
            nn.Linear(64 * 9 * 6, feature_dim),
        )
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.orthogonal_(module.weight, gain=2**0.5)
                nn.init.zeros_(module.bias)  # type: ignore[arg-type]
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, frames: Tensor) -> Tensor:
        """Encode frames.

        Args:
            frames: uint8 [B, C, 210, 160], values 0 to 255.

        Returns:
            float [B, D], the global vectors.

        Raises:
            EncoderError: if the frames have another shape or type.
        """
        return self.feature_maps(frames)[1]

    def feature_maps(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        """Encode frames and keep the local map.

        Args:
            frames: uint8 [B, C, 210, 160], values 0 to 255.

        Returns:
            The local map, float [B, 128, 11, 8], and the global vector, float [B, D].

        Raises:
            EncoderError: if the frames have another shape or type.
        """
        local = self.local_map(frames)
        return local, self.global_layers(local)

    def local_map(self, frames: Tensor) -> Tensor:
        """Encode frames up to the local map only, for losses that need no global vector.

        Args:
            frames: uint8 [B, C, 210, 160], values 0 to 255.

        Returns:
            float [B, 128, 11, 8].

        Raises:
            EncoderError: if the frames have another shape or type.
        """
        expected = (self.in_channels, FRAME_HEIGHT, FRAME_WIDTH)
        if frames.dtype != torch.uint8 or frames.ndim != 4 or tuple(frames.shape[1:]) != expected:
            raise EncoderError(
                f"NatureEncoder takes uint8 frames [B, {', '.join(map(str, expected))}], "
                f"not {frames.dtype} {list(frames.shape)}"
            )
        weight = self.local_layers[0].weight
        scaled = frames.to(weight.dtype, memory_format=torch.channels_last).mul_(1 / 255)  # type: ignore[arg-type]
        local: Tensor = self.local_layers(scaled)
        return local


def build_encoder(path: str, args: dict[str, Any] | None = None) -> nn.Module:
    """Make an encoder from its dotted path.

    Paths and plain arguments, rather than modules, are what checkpoints and configurations hold.

    Args:
        path: ``"package.module.ClassName"`` or ``"package.module:ClassName"`` of an
            ``nn.Module`` that takes uint8 [B, C, 210, 160] and returns float [B, D].
        args: keyword arguments of the class.

    Returns:
        The new encoder.

    Raises:
        ConfigurationError: if the path cannot be imported or the arguments do not fit.
        EncoderError: if the path does not name a subclass of ``nn.Module``.
    """
    found = import_from(path)
    # A path can come from a checkpoint: nothing but a module class is ever called.
    if not (isinstance(found, type) and issubclass(found, nn.Module)):
        raise EncoderError(f"encoder {path!r} is not a subclass of torch.nn.Module")
    try:
        return found(**(args or {}))
    except TypeError as error:
        raise ConfigurationError(f"encoder {path!r} does not take {args}: {error}") from error


def resolve_encoder(name: str, *, seed: int = 0) -> nn.Module:
    """Make an encoder from what a command line can say.

    Args:
        name: ``"random"``: a :class:`NatureEncoder` at its initialisation; the path of a
            checkpoint; or ``"module:callable"``, a class or function without arguments that
            returns an ``nn.Module``. The current folder is searched first.
        seed: of the initialisation.

    Returns:
        The encoder.

    Raises:
        ConfigurationError: if the name is none of these.
        EncoderError: if the callable returns something else, or the checkpoint holds no encoder.
        StoreError: if the checkpoint is missing or damaged.
    """
    torch.manual_seed(seed)
    if name == "random":
        return NatureEncoder()
    if Path(name).exists() or name.endswith(".ckpt"):
        from lightning_stdim.checkpoints import load_encoder

        return load_encoder(name)
    if ":" not in name:
        raise ConfigurationError(
            f"encoder {name!r} is neither 'random', 'majority', an existing checkpoint nor "
            "module:callable"
        )
    module = import_from(name)()
    if not isinstance(module, nn.Module):
        raise EncoderError(f"{name} returned {type(module).__name__}, not a torch.nn.Module")
    return module
