"""Encoders as folders that stand alone: weights in safetensors, and a JSON that rebuilds them.

The layout is the one that the Hugging Face hub expects: ``model.safetensors``, ``config.json`` and
a ``README.md`` with the scores as its metadata. Neither writing nor reading needs Lightning.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
import yaml
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from lightning_stdim import __version__
from lightning_stdim.datamodules.pixels import Pixels
from lightning_stdim.encoders import build_encoder
from lightning_stdim.errors import EncoderError, StoreError
from lightning_stdim.files import atomically

WEIGHTS, CONFIG, CARD = "model.safetensors", "config.json", "README.md"
LAYOUT: dict[Pixels, str] = {
    "luma": "luma of successive frames, the newest last",
    "rgb": "red, green and blue of successive frames, the newest last",
}


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
        folder: where to; made if it is missing, files that are there are replaced.
        path: dotted path of its class.
        args: the class's keyword arguments, as plain data.
        pixels: of the frames that it takes.
        results: content of the run's ``results.json``, for its scores and where they come from.

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
    about = _about(results) if results else {}
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
        temporary.write_text(_card(about, pixels), "utf-8")
    return folder


def load_pretrained(folder: str | Path) -> nn.Module:
    """Rebuild an encoder that :func:`save_pretrained` wrote.

    Args:
        folder: its folder.

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
    """Make one error of what can be wrong with a folder."""
    try:
        yield
    except (OSError, ValueError, KeyError, AttributeError, SafetensorError) as error:
        raise StoreError(
            f"{folder} holds no encoder, or a damaged one: {WEIGHTS} and {CONFIG} must be there "
            f"and whole ({type(error).__name__}: {error})"
        ) from error


def _about(results: Mapping[str, Any]) -> dict[str, Any]:
    """Choose what someone who finds the encoder should know."""
    scores = results["scores"]
    collection = scores.get("provenance", {}).get("collection", {})
    return {
        "game": results["game"],
        **{name: collection[name] for name in ("mode", "difficulty") if name in collection},
        "method": results["method"],
        "seed": results["seed"],
        "preset": results["preset"],
        "budget": results["budget"],
        "command": results["command"],
        "label_set": scores["label_set"],
        "f1": {
            protocol: {
                "mean_over_categories": metrics["f1"]["mean_over_categories"],
                "mean_over_variables": metrics["f1"]["mean_over_variables"],
                "categories": metrics["f1"]["categories"],
            }
            for protocol, metrics in scores["protocols"].items()
        },
    }


def _card(about: Mapping[str, Any], pixels: Pixels) -> str:
    """Write the hub's description: metadata in YAML, then text."""
    metadata: dict[str, Any] = {
        "library_name": "lightning_stdim",
        "tags": ["atari", "state-representation", "self-supervised"],
    }
    text = [
        "# An encoder of Atari frames",
        "",
        "Rebuild it with `lightning_stdim.load_encoder(folder)`: a `torch.nn.Module` from uint8",
        "frames `[B, in_channels, 210, 160]` to vectors. The channels are the",
        f"{LAYOUT[pixels]}.",
    ]
    if about:
        name = f"{about['method']} on {about['game']}"
        metadata["model-index"] = [
            {
                "name": name,
                "results": [
                    {
                        "task": {"type": "linear-probing", "name": "AtariARI linear probes"},
                        "dataset": {"type": "atariari", "name": f"AtariARI {about['game']}"},
                        "metrics": [
                            {
                                "type": "f1",
                                "name": f"F1, mean over categories, {protocol} protocol",
                                "value": round(f1["mean_over_categories"], 4),
                            }
                            for protocol, f1 in about["f1"].items()
                            if f1["mean_over_categories"] is not None
                        ],
                    }
                ],
            }
        ]
        text[0] = f"# {name}"
        text += ["", "Pretrained and probed by", "", f"    {about['command']}"]
    front = yaml.safe_dump(metadata, sort_keys=False)
    return "\n".join(["---", front + "---", "", *text, ""])
