"""How long does every method's training step take, compared with its own encoder's passes?

    python benchmarks/methods.py [--out results/benchmarks/methods.json]

The floor is a forward and backward pass of the encoder alone over the frames of the method's
batch: all of its sequences, and the other observations if it takes any. A step adds the objective,
further networks (decoders, recurrent ones), target networks' forward passes and Adam. The ratio
can be below 1 where a method does not need the whole encoder for every frame. Repetitions of the
two are interleaved; ratios are medians of those within a round.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

import torch
import yaml
from record import print_table, script_parser, write_record, write_table
from timing import in_turn
from torch import Tensor
from workload import encoder_passes, frame_pool, training_step

from lightning_stdim.datamodules.batches import SequenceBatch
from lightning_stdim.methods import SSLMethod
from lightning_stdim.presets import method_names, method_path


def make(name: str) -> SSLMethod | None:
    """Make a method as its configuration says; None if it does not pretrain."""
    model = yaml.safe_load(method_path(name).read_text())["model"]
    module, _, cls = model["class_path"].rpartition(".")
    found = getattr(import_module(module), cls)
    if not issubclass(found, SSLMethod) or found.data_stage != "pretrain":
        return None
    method: SSLMethod = found(**model.get("init_args", {}))
    return method


def batch_for(method: SSLMethod, pool: Tensor) -> SequenceBatch:
    """Draw what the data module would give the method."""
    anchors = torch.randint(method.sequence_length, len(pool), (method.batch_size,))
    back = torch.arange(1 - method.sequence_length, 1)[:, None]
    frames = pool[(anchors + back).to(pool.device)].unsqueeze(2)
    others = frames[-1].flip(0) if method.needs_same_episode_frames else None
    return SequenceBatch(frames, anchors.to(pool.device), others)


def measure(method: SSLMethod, pool: Tensor, repeats: int) -> dict[str, Any]:
    """Time the method's steps and its encoder's passes in turn."""
    method.to(pool.device).train()
    batch = batch_for(method, pool)
    frames = batch.frames.flatten(0, 1)
    if batch.same_episode_frames is not None:
        frames = torch.cat([frames, batch.same_episode_frames])
    variants = {
        "encoder": encoder_passes(method.encoder, frames),
        "step": training_step(method, lambda: method.loss(batch)["loss"]),
    }
    rounds = in_turn(variants, repeats=repeats)
    return {
        "frames": len(frames),
        "sequence_length": method.sequence_length,
        "batch_size": method.batch_size,
        "median_seconds": {name: rounds.median(name) for name in variants},
        "ratio_to_encoder": rounds.ratio("step", "encoder"),
    }


def main() -> None:
    parser = script_parser(__doc__)
    parser.add_argument("--repeats", type=int, default=7, help="rounds to measure")
    parser.add_argument("--methods", help="separated by commas; all by default")
    parser.add_argument("--out", help="file for the record (JSON)")
    arguments = parser.parse_args()
    torch.manual_seed(0)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    pool = frame_pool(5_000).to(device)
    names = arguments.methods.split(",") if arguments.methods else method_names()
    methods = {name: method for name in names if (method := make(name))}
    found = {name: measure(method, pool, arguments.repeats) for name, method in methods.items()}
    headings = ("method", "frames", "encoder ms", "step ms", "ratio")
    rows = [
        (
            name,
            str(row["frames"]),
            *(f"{1e3 * row['median_seconds'][what]:.0f}" for what in ("encoder", "step")),
            f"{row['ratio_to_encoder']:.2f}",
        )
        for name, row in found.items()
    ]
    print_table(f"Steps on {device.type}, median of {arguments.repeats}", headings, rows)
    write_record(arguments.out, {"device": device.type, "methods": found})
    write_table(arguments.out, headings, rows)


if __name__ == "__main__":
    main()
