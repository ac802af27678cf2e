"""How much of a score under the paper protocol is due to the features' offset and scale?

    python studies/probe_scale.py --runs results/pong-methods --out results/pong-scale

Takes the exported encoders of a finished benchmark of one game. Probes each under the paper
protocol with its features centred, centred and divided by one number, and standardised. These maps
are affine, so they change nothing about what a linear probe could read. Writes a JSON file per
encoder and ``scale.md``: mean F1 over categories with Student-t 95 % intervals over seeds, beside
the scores of the run itself under both protocols. An encoder whose file is there is not probed
again.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

from probe_factors import select
from record import markdown_table, script_parser, write_record
from torch import Tensor

from lightning_stdim import load_encoder
from lightning_stdim.catalogue import method_named
from lightning_stdim.datamodules.atari import AtariDataModule
from lightning_stdim.probes import PaperSettings
from lightning_stdim.probes.encode import encode
from lightning_stdim.probes.features import ProbeFeatures
from lightning_stdim.probes.paper import train_paper
from lightning_stdim.probes.scores import score_predictions
from lightning_stdim.report.names import Entry, in_order
from lightning_stdim.report.published import paper
from lightning_stdim.report.runs_on_disk import Run, read_record
from lightning_stdim.report.statistics.student import mean_with_ci

Change = Callable[[Tensor, Tensor, Tensor], Tensor]
"""From features [n, D], their means [D] and their deviations [D] to features [n, D]."""

CHANGES: dict[str, Change] = {
    "centred": lambda x, mean, deviation: x - mean,
    "centred, one scale": lambda x, mean, deviation: (x - mean) / root_mean_square(deviation),
    "standardised": lambda x, mean, deviation: (x - mean) / deviation,
}


def root_mean_square(values: Tensor) -> Tensor:
    """Average what is finite: a dead feature's deviation is not."""
    return values[values.isfinite()].square().mean().sqrt()


def probe(run: Run, data_settings: dict[str, Any]) -> dict[str, Any]:
    """Score an encoder's features with their place and size changed, on its run's own frames."""
    game, seed = run.results["game"], run.results["seed"]
    data = AtariDataModule(game, seed=seed, stage="probe", **data_settings).probe_data()
    raw = select(encode(load_encoder(run.folder / "encoder"), data.frames), data)
    mean, deviation = raw.mean_and_std()

    def f1(features: ProbeFeatures) -> dict[str, Any]:
        predictions, counted, details = train_paper(features, settings=PaperSettings(), seed=seed)
        scores = score_predictions(predictions[counted], features.labels["test"][counted], data)
        return {"f1": scores["f1"], "details": details}

    scores = {}
    for name, change in CHANGES.items():
        changed = {
            split: change(values.double(), mean, deviation).float()
            for split, values in raw.features.items()
        }
        scores[name] = f1(replace(raw, features=changed))
        print(f"  {name}: {scores[name]['f1']['mean_over_categories']:.3f}", flush=True)
    return {
        "offset": root_mean_square(mean).item(),
        "deviation": root_mean_square(deviation).item(),
        "scores": scores,
    }


def table(found: dict[Entry, list[tuple[Run, dict[str, Any]]]]) -> str:
    """Lay out a row for every method."""
    headings = ["published", "offset", "deviation", "as they are", *CHANGES, "converged"]
    rows = []
    for entry in in_order(found):
        runs, records = zip(*found[entry], strict=True)
        protocols = [run.results["scores"]["protocols"] for run in runs]
        published = paper(runs[0].results["game"], entry.method)
        theirs = published.scores["mean_over_categories"] if published else None
        cells = [
            "–" if theirs is None else f"{theirs:.2f}",
            *(f"{fmean(r[key] for r in records):.2g}" for key in ("offset", "deviation")),
            over_seeds(scores["paper"] for scores in protocols),
            *(over_seeds(record["scores"][name] for record in records) for name in CHANGES),
            over_seeds(scores["converged"] for scores in protocols),
        ]
        rows.append([entry.title, *cells])
    return markdown_table(["method", *headings], rows)


def over_seeds(scores: Iterable[dict[str, Any]]) -> str:
    """Write the mean over seeds with its interval."""
    mean = mean_with_ci([found["f1"]["mean_over_categories"] for found in scores])
    return f"{mean.mean:.2f}" + ("" if mean.half_width is None else f" ± {mean.half_width:.2f}")


def main() -> None:
    parser = script_parser(__doc__)
    parser.add_argument("--runs", type=Path, required=True, help="the benchmark, with its encoders")
    parser.add_argument("--out", type=Path, required=True, help="folder for records and table")
    parser.add_argument("--seeds", default="0,1,2", help="seeds, separated by commas")
    parser.add_argument("--probe-steps", type=int, default=15_000, help="frames to probe")
    parser.add_argument("--root", default="data", help="folder of the collections")
    arguments = parser.parse_args()
    data_settings = {"probe_steps": arguments.probe_steps, "root": arguments.root}
    seeds = [int(word) for word in arguments.seeds.split(",")]
    found: dict[Entry, list[tuple[Run, dict[str, Any]]]] = {}
    runs = [
        run for run in read_record(arguments.runs).runs if method_named(run.key.method).has_model
    ]
    for run in sorted(runs, key=lambda run: (run.results["seed"], run.entry)):
        seed = run.results["seed"]
        path = arguments.out / f"{run.key.name}-seed{seed}.json"
        if seed not in seeds:
            continue
        if not path.exists():
            print(f"{run.key.name}, seed {seed}", flush=True)
            record = {"method": run.key.name, "seed": seed, **probe(run, data_settings)}
            write_record(str(path), record)
        found.setdefault(run.entry, []).append((run, json.loads(path.read_text())))
    if not found:
        parser.error(f"no run of seeds {arguments.seeds} in {arguments.runs}")
    (arguments.out / "scale.md").write_text(table(found))
    print(table(found))


if __name__ == "__main__":
    main()
