"""Encoders as folders that stand alone: weights in safetensors, and a JSON that rebuilds them.

The layout is the one that the Hugging Face hub expects: ``model.safetensors``, ``config.json`` and
a ``README.md`` with the scores as its metadata. Neither writing nor reading needs Lightning.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from lightning_stdim._version import __version__
from lightning_stdim.datamodules.pixels import CHANNELS, Pixels
from lightning_stdim.encoders.build import build_encoder
from lightning_stdim.encoders.model_card import LAYOUT, describe_run, model_card
from lightning_stdim.encoders.nature import NatureEncoder
from lightning_stdim.errors import ConfigurationError, EncoderError, StoreError
from lightning_stdim.utils.files import atomically
from lightning_stdim.utils.torch_files import read_tensors
from lightning_stdim.utils.user_code import import_from, what_failed

WEIGHTS, CONFIG, CARD = "model.safetensors", "config.json", "README.md"
PREFIX = "encoder."
"""How names of the encoder's weights begin in a checkpoint."""


def save_pretrained(
    encoder: nn.Module,
    folder: str | Path,
    *,
    path: str,
    args: Mapping[str, Any] | None = None,
    pixels: Pixels = "luma",
    results: Mapping[str, Any] | None = None,
) -> Path:
    """Write an encoder that :func:`load_pretrained` rebuilds.

    Args:
        encoder: the encoder.
        folder: the folder to write to; it is made if it is missing, and its files are replaced.
        path: dotted path of the encoder's class.
        args: the class's keyword arguments, as plain data.
        pixels: kind of frames that the encoder takes.
        results: content of the run's ``results.json``; its scores and settings are stored with the
            encoder.

    Returns:
        The folder.

    Raises:
        StoreError: it cannot be written.
    """
    folder = Path(folder)
    # Copies: safetensors refuses tensors that share memory, as tied weights do.
    weights = {
        name: value.clone(memory_format=torch.contiguous_format)
        for name, value in encoder.state_dict().items()
    }
    about = describe_run(results) if results else {}
    config = {
        "library_name": "lightning_stdim",
        "version": __version__,
        "encoder": path,
        "encoder_args": dict(args or {}),
        "input": "uint8 [B, in_channels, 210, 160], values 0 to 255",
        "pixels": pixels,
        "channels": LAYOUT[pixels],
        **about,
    }
    with atomically(folder / WEIGHTS) as temporary:
        save_file(weights, temporary, metadata={"format": "pt"})
    with atomically(folder / CONFIG) as temporary:
        temporary.write_text(json.dumps(config, indent=1) + "\n", "utf-8")
    with atomically(folder / CARD) as temporary:
        temporary.write_text(model_card(about, pixels), "utf-8")
    return folder


def load_pretrained(folder: str | Path) -> nn.Module:
    """Rebuild an encoder that :func:`save_pretrained` wrote.

    Args:
        folder: the encoder's folder.

    Returns:
        The encoder, on the CPU, in evaluation mode; its attribute ``pixels`` tells which frames it
        takes.

    Raises:
        StoreError: a file is missing or damaged.
        ConfigurationError: its class cannot be imported, or does not take its arguments.
        EncoderError: its class is not a module, or the weights do not fit it.
    """
    folder = Path(folder)
    with _reading(folder):
        config = json.loads((folder / CONFIG).read_text("utf-8"))
        path, args = config["encoder"], config["encoder_args"]
        weights = load_file(folder / WEIGHTS)
        pixels = config.get("pixels", "luma")  # as all were before there were others
    encoder = build_encoder(path, args)
    try:
        encoder.load_state_dict(weights)
    except RuntimeError as error:
        raise EncoderError(f"the weights in {folder} do not fit {path}: {error}") from error
    encoder.pixels = pixels
    return encoder.eval()


@contextmanager
def _reading(folder: str | Path) -> Iterator[None]:
    """Raise one error for all that can be wrong with a folder."""
    try:
        yield
    except (OSError, ValueError, KeyError, AttributeError, SafetensorError) as error:
        raise StoreError(
            f"{folder} holds no encoder, or a damaged one: {WEIGHTS} and {CONFIG} must be there "
            f"and whole ({type(error).__name__}: {error})"
        ) from error


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
        path: a checkpoint of one of its methods; a folder that :func:`save_pretrained` wrote; or a
            folder that has one called ``encoder``, as the directory of a finished run has.

    Returns:
        The encoder, on the CPU, in evaluation mode; its attribute ``pixels`` tells which frames it
        takes.

    Raises:
        StoreError: if the file is missing or damaged.
        EncoderError: if it holds no encoder, or one that does not fit its own description.
    """
    if Path(path).is_dir():
        own = Path(path) / "encoder"
        return load_pretrained(own if own.is_dir() else path)
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


def resolve_encoder(name: str, *, seed: int = 0, pixels: Pixels = "luma") -> nn.Module:
    """Make an encoder from what a command line can say.

    Args:
        name: ``"random"``: a :class:`NatureEncoder` at its initialisation; a path that
            :func:`load_encoder` takes; or the dotted path of a class or function
            without arguments that returns an ``nn.Module``, such as ``"my_module.MyEncoder"`` or
            ``"my_module:MyEncoder"``. The current folder is searched first.
        seed: random seed of the initialisation.
        pixels: kind of frames that ``"random"`` takes.

    Returns:
        The encoder.

    Raises:
        ConfigurationError: if the name is none of these.
        EncoderError: if the callable fails or returns something else, or the checkpoint holds no
            encoder.
        StoreError: if the checkpoint is missing or damaged.
    """
    torch.manual_seed(seed)
    if name == "random":
        return NatureEncoder(in_channels=CHANNELS[pixels])
    if Path(name).exists() or name.endswith(".ckpt"):
        return load_encoder(name)
    if not re.fullmatch(r"\w+(\.\w+)*[.:]\w+", name):
        raise ConfigurationError(
            f"encoder {name!r} is neither 'random', 'majority', an existing run or checkpoint, nor "
            "a class or function such as my_module.MyEncoder"
        )
    make = import_from(name)
    try:
        module = make()
    except Exception as error:  # whatever a user's code may raise
        raise EncoderError(f"{name} failed: {what_failed(error)}") from error
    if not isinstance(module, nn.Module):
        raise EncoderError(f"{name} returned {type(module).__name__}, not a torch.nn.Module")
    return module
