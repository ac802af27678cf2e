"""Encoders out of checkpoints and folders, without ever unpickling code."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import nn

from lightning_stdim.encoders import build_encoder
from lightning_stdim.errors import EncoderError, StoreError
from lightning_stdim.pretrained import load_pretrained
from lightning_stdim.torch_files import read_tensors

PREFIX = "encoder."


def read_checkpoint(path: str | Path) -> dict[str, Any]:
    """Read a Lightning checkpoint with ``weights_only=True``.

    Args:
        path: the file.

    Returns:
        Its contents, tensors on the CPU.

    Raises:
        StoreError: if the file is missing or damaged.
        EncoderError: if it holds anything but tensors and plain values, or is no checkpoint.
    """
    if not Path(path).is_file():
        raise StoreError(f"there is no checkpoint {path}")
    contents = read_tensors(
        Path(path),
        advice="Take another one of the run's, such as last.ckpt, or save one with plain "
        "hyperparameters",
    )
    if not isinstance(contents, dict) or "state_dict" not in contents:
        raise EncoderError(f"{path} is not a Lightning checkpoint: it has no state_dict")
    return contents


def load_encoder(path: str | Path) -> nn.Module:
    """Rebuild an encoder that this package wrote.

    Args:
        path: a checkpoint of one of its methods, or a folder that
            :func:`~lightning_stdim.pretrained.save_pretrained` wrote, such as ``encoder`` in a
            run's directory.

    Returns:
        The encoder, on the CPU, in evaluation mode; its attribute ``pixels`` tells which frames it
        takes.

    Raises:
        StoreError: if the file is missing or damaged.
        EncoderError: if it holds no encoder, or one that does not fit its own description.
    """
    if Path(path).is_dir():
        return load_pretrained(path)
    contents = read_checkpoint(path)
    weights = {
        name.removeprefix(PREFIX): value
        for name, value in contents["state_dict"].items()
        if name.startswith(PREFIX)
    }
    described = contents.get("hyper_parameters", {})
    if not weights or "encoder" not in described:
        raise EncoderError(
            f"{path} holds no encoder: expected weights named {PREFIX}* and the hyperparameter "
            "'encoder' that names its class"
        )
    encoder = build_encoder(described["encoder"], described.get("encoder_args"))
    try:
        encoder.load_state_dict(weights)
    except RuntimeError as error:
        raise EncoderError(
            f"the weights in {path} do not fit {described['encoder']}: {error}"
        ) from error
    encoder.pixels = described.get("pixels", "luma")
    return encoder.eval()
