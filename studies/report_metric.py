"""How much does the challenge report's F1 move a score, on the same predictions?

    python studies/report_metric.py results/pong-methods --out results/studies/report_metric.json

The report swaps predictions and truth, so that classes are weighted by how often they are
predicted, and averages F1 over shuffled batches of 64 frames. The script reads the predictions that
finished runs left. For every run and protocol it prints F1, mean over categories: the right one,
the one with the swap alone, and the report's; and their means by method and protocol. Nothing is
trained or played.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from record import print_table, script_parser, write_record, write_table

from lightning_stdim.datamodules.labels.annotations import annotation
from lightning_stdim.datamodules.labels.entropy_filter import entropy
from lightning_stdim.datamodules.labels.games import LabelSet
from lightning_stdim.probes.metrics import PerVariableScores, report_f1
from lightning_stdim.probes.scores import aggregate
from lightning_stdim.report.runs_on_disk import Run, read_record

METRICS = ("f1", "swapped", "report_f1")
HEADINGS = ("F1", "swapped", "report's F1", "report's − F1")


def measure(run: Run) -> list[dict[str, Any]]:
    """Score the predictions of one run's probes in the three ways."""
    predictions = run.predictions()
    if predictions is None:
        return []
    found, names = run.results["scores"], predictions.variables
    label_set: LabelSet = "upstream" if found["label_set"] == "upstream" else "paper"
    categories = annotation(found["game"], label_set).categories
    entropies = {
        name: entropy(column) for name, column in zip(names, predictions.labels.T, strict=True)
    }
    labels = torch.from_numpy(predictions.labels).long()
    measured = []
    for protocol, predicted_values in predictions.predicted.items():
        predicted = torch.from_numpy(predicted_values).long()
        right, swapped = PerVariableScores(len(names)), PerVariableScores(len(names))
        right.update(predictions=predicted, labels=labels)
        swapped.update(predictions=labels, labels=predicted)
        by_metric = {
            "f1": right.compute()["f1"],
            "swapped": swapped.compute()["f1"],
            "report_f1": report_f1(predicted, labels, seed=run.results["seed"]),
        }
        scores = {}
        for metric, values in by_metric.items():
            of_variables = dict(zip(names, values.flatten().tolist(), strict=True))
            table = aggregate(of_variables, categories, entropies)
            scores[metric] = {
                "mean_over_categories": table["mean_over_categories"],
                "variables": {name: round(value, 4) for name, value in of_variables.items()},
            }
        measured.append(
            {
                "game": found["game"],
                "method": str(run.entry),
                "seed": run.results["seed"],
                "protocol": protocol,
                "frames": len(labels),
                **scores,
            }
        )
    return measured


def main() -> None:
    parser = script_parser(__doc__)
    parser.add_argument("folders", type=Path, nargs="+", help="directories of benchmarks")
    parser.add_argument("--out", help="file for the record (JSON)")
    arguments = parser.parse_args()
    runs = (run for folder in arguments.folders for run in read_record(folder).runs)
    records = [record for run in runs for record in measure(run)]
    rows, alike = [], defaultdict(list)
    for record in records:
        values = [record[metric]["mean_over_categories"] for metric in METRICS]
        alike[record["method"], record["protocol"]].append(values)
        name = f"{record['game']}, {record['method']}, seed {record['seed']}"
        rows.append((name, record["protocol"], *_written(values)))
    headings = ("run", "protocol", *HEADINGS)
    print_table("F1 of the same predictions, mean over categories", headings, rows)
    means = [
        (
            *names,
            str(len(values)),
            *_written([fmean(column) for column in zip(*values, strict=True)]),
        )
        for names, values in sorted(alike.items())
    ]
    print_table("Means over runs", ("method", "protocol", "runs", *HEADINGS), means)
    write_record(arguments.out, {"runs": records})
    write_table(arguments.out, headings, rows)


def _written(values: Sequence[float]) -> list[str]:
    """Write the three scores, and the difference of the last and the first."""
    difference = f"{values[-1] - values[0]:+.3f}".replace("-", "−")
    return [*(f"{value:.3f}" for value in values), difference]


if __name__ == "__main__":
    main()
