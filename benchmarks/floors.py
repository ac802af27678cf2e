"""How near do the package's stages come to what this machine can do at most?

    python benchmarks/floors.py [--out results/benchmarks/floors.json]

A stage's floor is the part of its work that cannot be left out, done alone: the emulator without
anything that keeps its frames, the decompression of what is on the disk, a copy of the frames in
memory, the encoder's passes, matrix products of the same size. Stage and floor are measured in
turn, in one run. A ratio is the median over the rounds. Its quartiles are beside it; they lie
apart mostly where other work on the machine came between. Prints a table of the stages and one of
the encoder's layers. Writes them as JSON and, beside it, as a chart (PNG) and as tables for the
documentation (Markdown).
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from math import prod
from pathlib import Path
from typing import Any

import as_command_line  # noqa: F401
import h5py
import numpy as np
import torch
import zstandard
from collection import BARE, WORKER, in_slices
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from pytorch_lightning import Callback, Trainer
from record import markdown_table, print_table, script_parser, write_record
from timing import Rounds, in_turn, wait_for_device
from torch import Tensor, nn
from workload import encoder_passes, training_step

from lightning_stdim.datamodules import store
from lightning_stdim.datamodules.atari import AtariDataModule
from lightning_stdim.datamodules.batches import SequenceBatch
from lightning_stdim.datamodules.collection.collect import collect
from lightning_stdim.datamodules.collection.settings import CollectionSettings
from lightning_stdim.datamodules.store.chunks import CHECKSUM
from lightning_stdim.encoders import NatureEncoder
from lightning_stdim.methods import STDIM
from lightning_stdim.probes.encode import encode
from lightning_stdim.probes.fused_adam import fused_adam
from lightning_stdim.probes.heads import LinearHeads
from lightning_stdim.probes.logistic import Logistic

GAME = "pong"
BATCH = 64
PROBED = 8192
"""Frames whose features the probes are timed on."""


@dataclass(frozen=True)
class Stage:
    """What the package does, against what it cannot do without.

    Attributes:
        stage: what is measured.
        floor: what it is held against.
        seconds: of the stage.
        floor_seconds: of the floor.
        ratio: how many times longer than its floor the stage takes, median over the rounds.
        lower: the ratios' lower quartile.
        upper: the ratios' upper quartile.
    """

    stage: str
    floor: str
    seconds: float
    floor_seconds: float
    ratio: float
    lower: float
    upper: float

    @classmethod
    def of(cls, rounds: Rounds, stage: str, floor: str) -> Stage:
        """Take both, and the ratio, from the rounds in which they were measured."""
        lower, ratio, upper = rounds.quartiles(stage, floor)
        return cls(
            stage,
            floor,
            rounds.median(stage),
            rounds.median(floor),
            ratio,
            lower,
            upper,
        )


@dataclass(frozen=True)
class Layer:
    """One layer of the encoder.

    Attributes:
        layer: what it is.
        forward: seconds.
        backward: seconds.
        operations: floating-point operations of both, of a layer with weights.
        of_peak: their rate, of a large matrix product's.
    """

    layer: str
    forward: float
    backward: float
    operations: int
    of_peak: float


def reading(path: Path, repeats: int) -> Iterator[Stage]:
    """Read a file of frames, against decompressing its chunks and against filling fresh memory."""
    with h5py.File(path) as file:
        frames = file["frames"]
        chunks = [
            frames.id.read_direct_chunk(frames.id.get_chunk_info(k).chunk_offset)[1][:-CHECKSUM]
            for k in range(frames.id.get_num_chunks())
        ]
        chunk_bytes = prod(frames.chunks)
        shape = frames.shape
    room = bytearray(chunk_bytes)
    decompressor = zstandard.ZstdDecompressor()

    def decompress() -> None:
        for chunk in chunks:
            decompressor.stream_reader(chunk).readinto(room)

    rounds = in_turn(
        {
            "decompression": decompress,
            "filling fresh memory": lambda: np.empty(shape, np.uint8).fill(1),
            "read a collection": lambda: store.read(path),
        },
        repeats=repeats,
    )
    for floor in ("decompression", "filling fresh memory"):
        yield Stage.of(rounds, "read a collection", floor)


class Between(Callback):
    """Take steps without the trainer between those that it takes, and time both.

    Attributes:
        every: steps of the one before it is the other's turn.
        rounds: seconds of a step, but for the first turn's.
    """

    every = 10

    def __init__(self, step: Callable[[], None]) -> None:
        self.step = step
        self.rounds = Rounds()
        self.started = 0.0

    def _turn(self, name: str, first: bool) -> None:
        """End a turn."""
        wait_for_device()
        now = time.perf_counter()
        if not first:
            self.rounds.add(name, (now - self.started) / self.every)
        self.started = now

    def on_train_epoch_start(self, *_: Any) -> None:
        """Begin the trainer's first turn."""
        self.started = time.perf_counter()

    def on_train_batch_end(self, *arguments: Any) -> None:
        """Take steps when the trainer has taken enough."""
        taken = arguments[-1] + 1
        if taken % self.every:
            return
        self._turn("ST-DIM's step in the trainer", taken == self.every)
        for _ in range(self.every):
            self.step()
        self._turn("ST-DIM's step", taken == self.every)


def training(module: AtariDataModule, device: torch.device, repeats: int) -> Iterator[Stage]:
    """Gather a batch, take ST-DIM's step, and have the trainer take it."""
    method = STDIM().to(device)
    module.setup("fit")
    index = next(iter(module.train_dataloader()))

    def gathered() -> SequenceBatch:
        batch = module.transfer_batch_to_device(index, device, 0)
        assert isinstance(batch, SequenceBatch)
        return batch

    batch = gathered()
    frames = batch.frames.flatten(0, 1)
    copy = torch.empty_like(frames)
    rounds = in_turn(
        {"copy in memory": lambda: copy.copy_(frames), "gather a batch": gathered},
        repeats=10 * repeats,
    )
    yield Stage.of(rounds, "gather a batch", "copy in memory")
    step = training_step(method, lambda: method.loss(gathered())["loss"])
    passes = encoder_passes(method.encoder, frames)
    rounds = in_turn({"encoder, both passes": passes, "ST-DIM's step": step}, repeats=repeats)
    yield Stage.of(rounds, "ST-DIM's step", "encoder, both passes")
    between = Between(step)
    trainer = Trainer(
        accelerator=device.type,
        devices=1,
        plugins=LightningEnvironment(),  # also where a scheduler started this process
        max_epochs=1,
        limit_train_batches=between.every * (repeats + 1),
        limit_val_batches=0,
        callbacks=between,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(STDIM(), datamodule=module)
    yield Stage.of(between.rounds, "ST-DIM's step in the trainer", "ST-DIM's step")


def probing(frames: Tensor, device: torch.device, repeats: int) -> Iterator[Stage]:
    """Encode, and take each protocol's step, against the products that they are made of."""
    encoder = NatureEncoder().to(device)
    batch = frames[:256].unsqueeze(1).to(device)

    def forward() -> None:
        with torch.no_grad():
            encoder(batch)

    rounds = in_turn(
        {"encoder, forward": forward, "encode frames": lambda: encode(encoder, frames[:256])},
        repeats=repeats,
    )
    yield Stage.of(rounds, "encode frames", "encoder, forward")

    features = torch.randn(PROBED, 257, device=device)
    labels = torch.randint(0, 100, (PROBED, 1), device=device)
    labels[:100, 0] = torch.arange(100)
    problem = Logistic(features, labels[:, 0], 100)
    weights = torch.zeros(257, 100, device=device)
    logits = torch.randn(PROBED, 100, device=device)
    penalty = torch.ones(257, device=device)

    def products() -> None:
        torch.mm(features, weights)
        torch.mm(features.T, logits)

    rounds = in_turn(
        {
            "its products": products,
            "converged: one evaluation": lambda: problem.evaluate(weights, penalty),
        },
        repeats=3 * repeats,
    )
    yield Stage.of(rounds, "converged: one evaluation", "its products")

    variables = [f"variable {k}" for k in range(6)]
    heads = LinearHeads(variables, 256).to(device)
    groups = [
        {"params": list(head.parameters()), "name": name}
        for name, head in zip(variables, heads.heads, strict=True)
    ]
    optimizer = torch.optim.Adam(groups, lr=3e-4, fused=True)
    few = features[:BATCH, :256]
    targets = labels[:BATCH].expand(-1, 6)
    weight = torch.randn(256, 6 * 256, device=device)
    out = torch.randn(BATCH, 6 * 256, device=device)

    def few_products() -> None:
        torch.mm(few, weight)
        torch.mm(few.T, out)

    with fused_adam(heads, optimizer) as (_, step):
        variants: dict[str, Callable[[], object]] = {
            "its products": few_products,
            "paper: one step of six probes": lambda: step(few, targets),
        }
        rounds = in_turn(variants, repeats=30 * repeats)
    yield Stage.of(rounds, "paper: one step of six probes", "its products")


def forward_pass(layer: nn.Module, inputs: Tensor) -> None:
    """Run a layer's forward pass."""
    layer(inputs.detach())


def backward_pass(outputs: Tensor, wanted: Sequence[Tensor]) -> None:
    """Compute the gradients of a layer's input and weights; the graph stays for the next time."""
    torch.autograd.grad(outputs, wanted, torch.ones_like(outputs), retain_graph=True)


def layers(device: torch.device, repeats: int) -> tuple[list[Layer], float]:
    """Time the encoder layer by layer, on the frames of a batch of pairs.

    Returns:
        The layers, the last of them all together; and floating-point operations a second of a large
        matrix product in float32.
    """
    size = 8192 if device.type == "cuda" else 2048
    a, b = torch.randn(2, size, size, device=device)
    encoder = NatureEncoder().to(device)
    values = torch.rand(2 * BATCH, 1, 210, 160, device=device)
    modules = [*encoder.local_layers, *encoder.global_layers]
    passes: dict[str, Callable[[], object]] = {"product": lambda: a @ b}
    names, operations = [], []
    for k, module in enumerate(modules):
        if isinstance(module, nn.ReLU):
            module.inplace = False  # its input is used again here
        inputs = values.detach().requires_grad_(k > 0)
        outputs = module(inputs)
        values = outputs.detach()
        wanted = [p for p in (inputs, *module.parameters()) if p.requires_grad]
        names.append(f"{k + 1}: {describe(module)}")
        per_output = sum(weight[0].numel() for weight in module.parameters() if weight.ndim > 1)
        # Multiplications and additions of outputs, of the weights' and of the input's gradients.
        operations.append(2 * values.numel() * per_output * (2 + (k > 0)))
        passes[f"forward {k}"] = partial(forward_pass, module, inputs)
        passes[f"backward {k}"] = partial(backward_pass, outputs, wanted)
    rounds = in_turn(passes, repeats=repeats)
    most = 2 * size**3

    def layer(name: str, which: Sequence[int]) -> Layer:
        forward, backward = (
            [
                sum(found)
                for found in zip(*(rounds.values[f"{way} {k}"] for k in which), strict=True)
            ]
            for way in ("forward", "backward")
        )
        total = sum(operations[k] for k in which)
        of_peak = [
            total / (f + b) / (most / product)
            for f, b, product in zip(forward, backward, rounds.values["product"], strict=True)
        ]
        return Layer(
            name,
            statistics.median(forward),
            statistics.median(backward),
            total,
            statistics.median(of_peak),
        )

    every = range(len(names))
    found = [*(layer(names[k], [k]) for k in every), layer("all", every)]
    return found, most / rounds.median("product")


def describe(module: nn.Module) -> str:
    """Name a layer with what its cost depends on."""
    if isinstance(module, nn.Conv2d):
        size, stride = module.kernel_size[0], module.stride[0]
        return f"convolution {size}x{size}/{stride}, {module.in_channels} to {module.out_channels}"
    if isinstance(module, nn.Linear):
        return f"linear, {module.in_features} to {module.out_features}"
    return type(module).__name__


def draw(stages: Sequence[Stage], path: Path) -> None:
    """Draw how many times its floor every stage takes, and the middle half of the rounds."""
    from matplotlib.figure import Figure

    figure = Figure((7.5, 0.42 * len(stages) + 0.9), layout="constrained")
    axes = figure.subplots()
    for k, stage in enumerate(reversed(stages)):
        axes.barh(k, stage.ratio, color="#2b7bba", height=0.62)
        axes.plot([stage.lower, stage.upper], [k, k], color="#1a1a1a", linewidth=1.2)
        axes.annotate(f" {stage.ratio:.2f}", (max(stage.ratio, stage.upper), k), va="center")
    labels = [f"{stage.stage}\n({stage.floor})" for stage in reversed(stages)]
    axes.set_yticks(range(len(stages)), labels, fontsize=8)
    axes.axvline(1, color="#1a1a1a", linewidth=0.8)
    axes.set_xlabel("times its floor")
    axes.margins(x=0.08)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    figure.savefig(path, dpi=150)


def main() -> None:
    parser = script_parser(__doc__)
    parser.add_argument("--steps", type=int, default=20_000, help="frames collected and read")
    parser.add_argument("--repeats", type=int, default=5, help="rounds to measure")
    parser.add_argument("--out", help="file for the record (JSON)")
    arguments = parser.parse_args()
    steps, repeats = arguments.steps, arguments.repeats
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    with tempfile.TemporaryDirectory() as root:
        stages = [Stage.of(in_slices(GAME, steps), WORKER, BARE)]
        path = collect(CollectionSettings(GAME, steps=steps), root=root, progress=False)
        stages += reading(path, repeats)
        module = AtariDataModule(GAME, steps=steps, stage="pretrain", root=root, workers=1)
        module.prepare_data = lambda: None  # type: ignore[method-assign]  # no probe's frames
        stages += training(module, device, repeats)
        frames = torch.from_numpy(store.read_frames(path)[:PROBED])
    stages += probing(frames, device, repeats)
    of_layers, rate = layers(device, 2 * repeats)
    total = of_layers[-1].forward + of_layers[-1].backward

    headings = ("stage", "floor", "stage ms", "floor ms", "ratio", "lower", "upper")
    rows = [
        (
            s.stage,
            s.floor,
            *(f"{1e3 * t:.3g}" for t in (s.seconds, s.floor_seconds)),
            *(f"{ratio:.2f}" for ratio in (s.ratio, s.lower, s.upper)),
        )
        for s in stages
    ]
    layer_headings = ("layer", "forward ms", "backward ms", "share", "of the peak")
    layer_rows = [
        (
            layer.layer,
            f"{1e3 * layer.forward:.1f}",
            f"{1e3 * layer.backward:.1f}",
            f"{(layer.forward + layer.backward) / total:.0%}",
            f"{layer.of_peak:.0%}" if layer.operations else "–",
        )
        for layer in of_layers
    ]
    print_table(f"Stages on {device.type}, medians and quartiles", headings, rows)
    print_table(f"The encoder on {2 * BATCH} frames", layer_headings, layer_rows)
    print(f"a large matrix product: {rate / 1e9:.0f} GFLOP/s")
    write_record(
        arguments.out,
        {
            "device": device.type,
            "threads": torch.get_num_threads(),
            "peak_operations_per_second": rate,
            "stages": [asdict(stage) for stage in stages],
            "layers": [asdict(layer) for layer in of_layers],
        },
    )
    if arguments.out:
        draw(stages, Path(arguments.out).with_suffix(".png"))
        for name, head, body in (
            ("stages", headings, rows),
            ("layers", layer_headings, layer_rows),
        ):
            text = markdown_table(head, body)
            Path(arguments.out).with_suffix(f".{name}.md").write_text(text)


if __name__ == "__main__":
    main()
