"""How much does each choice of the probe protocol change the scores?

    python studies/probe_factors.py --runs results/pong-laptop --out results/pong-factors

Takes the encoders of a finished benchmark of Pong: Random-CNN at its initialisation, ST-DIM and
supervised from their runs, every seed. Probes each under the paper's protocol, with one factor
changed at a time, and under the converged protocol. Writes a JSON file per encoder, factor by
factor, so that an interrupted study goes on where it was, and ``factors.md``: mean F1 over
categories with Student-t 95 % intervals over seeds, the order of the methods under each factor,
and how far ST-DIM is ahead of Random-CNN within a seed.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from record import script_parser, write_record
from torch import nn

from lightning_stdim.datamodules.atari import AtariDataModule
from lightning_stdim.datamodules.batches import ProbeData, Split
from lightning_stdim.encoders import NatureEncoder, resolve_encoder
from lightning_stdim.encoders.pretrained import load_encoder
from lightning_stdim.probes import ConvergedSettings, PaperSettings
from lightning_stdim.probes.converged import train_converged
from lightning_stdim.probes.encode import encode
from lightning_stdim.probes.features import ProbeFeatures
from lightning_stdim.probes.paper import train_paper
from lightning_stdim.probes.scores import score_predictions
from lightning_stdim.report.statistics.student import mean_with_ci

PYTORCH_INIT = "random-cnn, PyTorch's initialisation"
METHODS = ("random-cnn", "st-dim", "supervised")


@dataclass(frozen=True)
class Factor:
    """One change of the protocol: of the probe's settings, or of the data."""

    name: str
    probe: dict[str, Any] = field(default_factory=dict)
    data: dict[str, Any] = field(default_factory=dict)
    converged: bool = False
    episodes: int = 1
    """Every how many-th training episode the probes are trained on."""


FACTORS = (
    Factor("paper protocol"),
    Factor("features standardised", probe={"standardize": True}),
    Factor("learning rate 1e-2", probe={"lr": 1e-2}),
    Factor("standardised, learning rate 1e-2", probe={"standardize": True, "lr": 1e-2}),
    Factor("no early stopping, 100 epochs", probe={"patience": 100, "plateau_patience": 100}),
    Factor("last weights", probe={"restore": "last"}),
    Factor("the reference's sampling", probe={"sampling": "episodes"}),
    Factor("splits in the order of time", data={"split_order": "time"}),
    Factor("stale first labels", data={"stale_first_label": True}),
    Factor("duplicates kept", data={"deduplicate": False}),
    Factor("no entropy filter", data={"entropy_threshold": 0.0}),
    Factor("label set upstream", data={"label_set": "upstream"}),
    Factor("a third of the training episodes", episodes=3),
    Factor("converged protocol", converged=True),
    Factor("converged, a third of the training episodes", episodes=3, converged=True),
)
INITIALISATION = ("paper protocol", "features standardised", "converged protocol")
"""What the other initialisation is tried under."""


def pytorch_default(seed: int) -> nn.Module:
    """Make the encoder with PyTorch's default initialisation instead of the orthogonal one."""
    torch.manual_seed(seed)
    encoder = NatureEncoder()
    for module in encoder.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            module.reset_parameters()
    return encoder


def encoders(
    runs: Path, seeds: list[int], methods: Sequence[str]
) -> Iterator[tuple[str, int, nn.Module]]:
    for seed in seeds:
        for method in methods:
            if method == "random-cnn":
                yield method, seed, resolve_encoder("random", seed=seed)
                yield PYTORCH_INIT, seed, pytorch_default(seed)
            else:
                path = runs / "pong" / method / f"seed{seed}" / "encoder"
                if not path.is_dir():  # older runs have none
                    path = path.parent / "checkpoints" / "best.ckpt"
                yield method, seed, load_encoder(path)


def select(encoded: torch.Tensor, data: ProbeData) -> ProbeFeatures:
    starts = torch.tensor(data.provenance["episode_start"])
    return ProbeFeatures(
        variables=data.variables,
        features={split: encoded[part.to(encoded.device)] for split, part in data.splits.items()},
        labels={split: data.labels[part].to(encoded.device) for split, part in data.splits.items()},
        episodes={
            split: torch.bucketize(part, starts, right=True) for split, part in data.splits.items()
        },
    )


def thinned(features: ProbeFeatures, every: int) -> ProbeFeatures:
    """Keep some of the training episodes; the test frames stay the same."""
    assert features.episodes is not None
    episode = features.episodes["train"]
    keep = torch.isin(episode, episode.unique()[::every])

    def cut(parts: dict[Split, torch.Tensor]) -> dict[Split, torch.Tensor]:
        return {**parts, "train": parts["train"][keep]}

    return replace(
        features,
        features=cut(features.features),
        labels=cut(features.labels),
        episodes=cut(features.episodes),
    )


def score(features: ProbeFeatures, data: ProbeData, factor: Factor, seed: int) -> dict[str, Any]:
    started = time.monotonic()
    features = thinned(features, factor.episodes)
    if factor.converged:
        predictions, details = train_converged(features, settings=ConvergedSettings())
        labels = features.labels["test"]
    else:
        settings = PaperSettings(**factor.probe)
        predictions, counted, details = train_paper(features, settings=settings, seed=seed)
        predictions, labels = predictions[counted], features.labels["test"][counted]
    tables = score_predictions(predictions, labels, data)
    return {
        "f1": tables["f1"],
        "accuracy": tables["accuracy"],
        "details": details,
        "seconds": round(time.monotonic() - started, 1),
    }


def probe(
    encoder: nn.Module,
    seed: int,
    data_settings: dict[str, Any],
    factors: Sequence[Factor],
    device: str,
    begun: Path,
) -> dict[str, Any]:
    scores: dict[str, Any] = {}
    if begun.exists():
        scores = json.loads(begun.read_text())["scores"]
    known: dict[tuple[str, ...], dict[str, Any]] = {}
    encoded: torch.Tensor | None = None  # the factors change labels and splits, never the frames
    for factor in factors:
        settings = {**data_settings, **factor.data}
        data = AtariDataModule("pong", seed=seed, stage="probe", **settings).probe_data()
        if encoded is None:
            encoded = encode(encoder, data.frames, device=device)
        # On Pong, some factors change nothing about the data: then nothing is trained again.
        parts = (data.labels, *data.splits.values())
        key = (
            str((replace(factor, name="", data={}), data.variables)),
            *(hashlib.sha256(part.numpy().tobytes()).hexdigest() for part in parts),
        )
        if factor.name in scores:
            known.setdefault(key, scores[factor.name])
            continue
        if key not in known:
            known[key] = score(select(encoded, data), data, factor, seed)
        scores[factor.name] = known[key]
        write_record(str(begun), {"scores": scores})
        print(
            f"  {factor.name}: {scores[factor.name]['f1']['mean_over_categories']:.3f}", flush=True
        )
    assert encoded is not None
    return {"scores": scores, "feature_deviation": encoded.std(0).mean().item()}


def table(records: dict[str, list[dict[str, Any]]]) -> str:
    methods = list(records)
    lines = [
        "| factor changed | "
        + " | ".join(methods)
        + " | order of the three methods | st-dim minus random-cnn, paired |",
        "|---|" + "---|" * (len(methods) + 2),
    ]

    def written(values: list[float], sign: str = "") -> str:
        found = mean_with_ci(values)
        width = "" if found.half_width is None else f" ± {found.half_width:.2f}"
        return f"{found.mean:{sign}.2f}{width}"

    def row(name: str, factor: str, mean: str) -> None:
        values = {
            m: [r["scores"][factor]["f1"][mean] for r in found if factor in r["scores"]]
            for m, found in records.items()
        }
        cells = [written(found) if found else "" for found in values.values()]
        cells.append(" > ".join(sorted(METHODS, key=lambda m: -sum(values[m]))))
        pairs = zip(values["st-dim"], values["random-cnn"], strict=True)
        cells.append(written([ours - random for ours, random in pairs], "+"))
        lines.append(f"| {name} | {' | '.join(cells)} |")

    for factor in FACTORS:
        row(factor.name, factor.name, "mean_over_categories")
    for name in ("paper protocol", "converged protocol"):
        row(f"{name}, mean over variables", name, "mean_over_variables")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = script_parser(__doc__)
    parser.add_argument("--runs", type=Path, required=True, help="the benchmark, with its encoders")
    parser.add_argument("--out", type=Path, required=True, help="folder for records and table")
    parser.add_argument("--seeds", type=int, default=3, help="number of seeds")
    parser.add_argument("--methods", default=",".join(METHODS), help="separated by commas")
    parser.add_argument("--probe-steps", type=int, default=15_000, help="frames to probe")
    parser.add_argument("--device", default="cpu", help="device that encodes and probes")
    parser.add_argument("--root", default="data", help="folder of the collections")
    arguments = parser.parse_args()
    data_settings = {"probe_steps": arguments.probe_steps, "root": arguments.root}
    records: dict[str, list[dict[str, Any]]] = {}
    for method, seed, encoder in encoders(
        arguments.runs, list(range(arguments.seeds)), arguments.methods.split(",")
    ):
        name = "".join(c if c.isalnum() else "-" for c in method)
        path = arguments.out / f"{name}-seed{seed}.json"
        if not path.exists():
            print(f"{method}, seed {seed}", flush=True)
            factors = [f for f in FACTORS if method != PYTORCH_INIT or f.name in INITIALISATION]
            begun = path.with_suffix(".begun.json")
            record = probe(encoder, seed, data_settings, factors, arguments.device, begun)
            write_record(str(path), {"method": method, "seed": seed, **record})
            begun.unlink()
        records.setdefault(method, []).append(json.loads(path.read_text()))
    if set(METHODS) <= set(records):
        (arguments.out / "factors.md").write_text(table(records))
        print(table(records))


if __name__ == "__main__":
    main()
