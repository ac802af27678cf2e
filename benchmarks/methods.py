"""Every method's training step against its own encoder.

    python benchmarks/methods.py [--out results/benchmarks/methods.json]

The floor is a forward and backward pass of the encoder alone over the frames of the method's batch:
all of its sequences. What a step adds is the objective, further networks (decoders, recurrent
ones), target networks' forward passes and Adam. It can be below 1 where a method does not need the
whole encoder for every frame. Repetitions of the two are interleaved; ratios are of medians.
"""

from __future__ import annotations

import argparse
import statistics
import time
from importlib import import_module

import torch
import yaml
from record import write_record
from rich.console import Console
from rich.table import Table
from step import frame_pool

from lightning_stdim.datamodules.batches import SequenceBatch
from lightning_stdim.encoders import LocalGlobalEncoder
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--methods", help="separated by commas; all by default")
    parser.add_argument("--out")
    arguments = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    pool = frame_pool(5_000).to(device)
    generator = torch.Generator().manual_seed(1)
    table = Table(title=f"Steps on {device.type}, median of {arguments.repeats}")
    for heading in ("method", "frames", "encoder ms", "step ms", "ratio"):
        table.add_column(heading, justify="left" if heading == "method" else "right")
    rows = {}
    for name in arguments.methods.split(",") if arguments.methods else method_names():
        method = make(name)
        if method is None:
            continue
        method.to(device).train()
        length, size = method.sequence_length, method.batch_size
        anchors = torch.randint(length, len(pool), (size,), generator=generator).to(device)
        back = torch.arange(1 - length, 1, device=device)[:, None]
        frames = pool[anchors + back].unsqueeze(2)
        batch = SequenceBatch(frames, anchors, frames[-1] if method.needs_others else None)
        optimizer = method.configure_optimizers()
        assert optimizer is not None
        encoder = method.encoder

        def alone(
            encoder: torch.nn.Module = encoder, frames: torch.Tensor = frames.flatten(0, 1)
        ) -> None:
            encoder.zero_grad(set_to_none=True)
            assert isinstance(encoder, LocalGlobalEncoder)
            encoder(frames).square().mean().backward()

        def step(
            method: SSLMethod = method,
            batch: SequenceBatch = batch,
            optimizer: torch.optim.Optimizer = optimizer,
        ) -> None:
            optimizer.zero_grad(set_to_none=True)
            method.loss(batch)["loss"].backward()
            optimizer.step()
            method.on_before_zero_grad(optimizer)  # where target networks follow

        seconds: dict[str, list[float]] = {"encoder": [], "step": []}
        for repeat in range(arguments.repeats + 2):
            for what, run in (("encoder", alone), ("step", step)):
                started = time.perf_counter()
                run()
                if device.type == "cuda":
                    torch.cuda.synchronize()
                if repeat >= 2:  # the first ones allocate and tune
                    seconds[what].append(time.perf_counter() - started)
        medians = {what: statistics.median(values) for what, values in seconds.items()}
        ratio = medians["step"] / medians["encoder"]
        count = length * size
        rows[name] = {
            "sequence_length": length,
            "batch_size": size,
            "median_seconds": medians,
            "ratio_to_encoder": ratio,
        }
        times = (f"{1e3 * medians[what]:.0f}" for what in ("encoder", "step"))
        table.add_row(name, str(count), *times, f"{ratio:.2f}")
    Console().print(table)
    write_record(arguments.out, {"device": device.type, "methods": rows})


if __name__ == "__main__":
    main()
