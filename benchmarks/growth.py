"""How does the cost of every part grow with frames and with variables?

    python benchmarks/growth.py [--out results/benchmarks/growth.json]

Times each part at one, two and four times the size, in turn. A cost that grows in proportion to
the size has the ratios 2 and 4; ratios are medians of those within a round. Games share nothing,
so their costs add up. For ranks see ``scaling.py``.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import as_command_line  # noqa: F401
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from pytorch_lightning import Trainer
from record import print_table, script_parser, write_record, write_table
from timing import in_turn
from torch import Tensor

from lightning_stdim import AtariDataModule
from lightning_stdim.datamodules.batches import Split
from lightning_stdim.datamodules.collection.collect import collect
from lightning_stdim.datamodules.collection.settings import CollectionSettings
from lightning_stdim.encoders import resolve_encoder
from lightning_stdim.methods import STDIM
from lightning_stdim.probes.converged import train_converged
from lightning_stdim.probes.evaluate import encode_splits
from lightning_stdim.probes.features import ProbeFeatures
from lightning_stdim.probes.paper import PaperSettings, train_paper

TIMES = (1, 2, 4)
EPOCHS = PaperSettings(max_epochs=5)  # alike for all sizes, where early stopping would not be


def first_frames(features: ProbeFeatures, share: float) -> ProbeFeatures:
    """Take the first frames of every split."""

    def taken(parts: dict[Split, Tensor]) -> dict[Split, Tensor]:
        return {split: part[: int(share * len(part))] for split, part in parts.items()}

    return replace(
        features,
        features=taken(features.features),
        labels=taken(features.labels),
        episodes=None,
    )


def copies(features: ProbeFeatures, times: int) -> ProbeFeatures:
    """Take the first variable several times: others have other numbers of values."""
    return replace(
        features,
        variables=tuple(f"{features.variables[0]} {k}" for k in range(times)),
        labels={split: part[:, :1].repeat(1, times) for split, part in features.labels.items()},
    )


def main() -> None:
    parser = script_parser(__doc__)
    parser.add_argument("--game", default="pong", help="game to play")
    parser.add_argument("--frames", type=int, default=4000, help="frames of the smallest size")
    parser.add_argument("--root", default="data", help="where collections are kept")
    parser.add_argument("--repeats", type=int, default=3, help="rounds to measure")
    parser.add_argument("--out", help="file for the record (JSON)")
    arguments = parser.parse_args()
    game, frames, root = arguments.game, arguments.frames, arguments.root
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    probed = TIMES[-1] * frames
    module = AtariDataModule(game, probe_steps=probed, root=root, stage="probe")
    features = encode_splits(resolve_encoder("random"), module.probe_data(), device="cpu")
    for size in TIMES:
        AtariDataModule(game, steps=size * frames, probe_steps=probed, root=root).prepare_data()

    def collection(size: int) -> None:
        with tempfile.TemporaryDirectory() as folder:
            collect(
                CollectionSettings(game, steps=size * frames),
                workers=1,
                root=folder,
                progress=False,
            )

    def epoch(size: int) -> None:
        data = AtariDataModule(game, steps=size * frames, probe_steps=probed, root=root)
        trainer = Trainer(
            max_epochs=1,
            accelerator="cpu",
            plugins=LightningEnvironment(),  # also where a scheduler started this process
            limit_val_batches=0,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        trainer.fit(STDIM(), datamodule=data)

    parts: dict[str, Callable[[int], object]] = {
        "collecting, by frames": collection,
        "an epoch of ST-DIM, by frames": epoch,
        "paper, five epochs, by frames": lambda size: train_paper(
            first_frames(features, size / TIMES[-1]), settings=EPOCHS
        ),
        "converged, by frames": lambda size: train_converged(
            first_frames(features, size / TIMES[-1])
        ),
        "paper, five epochs, by variables": lambda size: train_paper(
            copies(features, size), settings=EPOCHS
        ),
        "converged, by variables": lambda size: train_converged(copies(features, size)),
    }
    rounds = in_turn(
        {f"{name}, {size}": partial(run, size) for name, run in parts.items() for size in TIMES},
        repeats=arguments.repeats,
        warm_up=1,
    )
    seconds = {name: [rounds.median(f"{name}, {size}") for size in TIMES] for name in parts}
    ratios = {
        name: [rounds.ratio(f"{name}, {size}", f"{name}, {TIMES[0]}") for size in TIMES[1:]]
        for name in parts
    }
    headings = ("part", "seconds", "twice the size", "four times")
    rows = [
        (name, f"{seconds[name][0]:.1f}", *(f"{ratio:.1f}" for ratio in found))
        for name, found in ratios.items()
    ]
    print_table(f"{game}, from {frames} frames", headings, rows)
    write_record(
        arguments.out, {"game": game, "frames": frames, "seconds": seconds, "ratios": ratios}
    )
    write_table(arguments.out, headings, rows)


if __name__ == "__main__":
    main()
