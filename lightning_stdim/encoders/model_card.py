"""The description that an encoder's folder carries."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

from lightning_stdim.datamodules.pixels import Pixels

LAYOUT: dict[Pixels, str] = {
    "luma": "luma of successive frames, the newest last",
    "rgb": "red, green and blue of successive frames, the newest last",
}


def describe_run(results: Mapping[str, Any]) -> dict[str, Any]:
    """Choose what someone who finds the encoder should know.

    Args:
        results: content of the run's ``results.json``.

    Returns:
        Game, method, seed, budget, command, label set and F1, as plain data.
    """
    scores = results["scores"]
    collection = scores.get("provenance", {}).get("collection", {})
    return {
        "game": results["game"],
        **{
            name: collection[name]
            for name in ("mode", "difficulty", "environment")
            if name in collection
        },
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


def model_card(about: Mapping[str, Any], pixels: Pixels) -> str:
    """Write the description that the hub shows: metadata in YAML, then text.

    Args:
        about: what :func:`describe_run` gave; empty if no run is known.
        pixels: kind of frames that the encoder takes.

    Returns:
        The text of ``README.md``.
    """
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
