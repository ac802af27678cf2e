"""What tests of the command line share."""

import csv
import json

import torch

STEPS, PROBE_STEPS = 1000, 1500


def results(folder):
    return json.loads((folder / "results.json").read_text())


def metrics(folder):
    with (folder / "metrics.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def weights(path):
    return torch.load(path, weights_only=True)["state_dict"]


def probe(small, encoder):
    return [
        "probe",
        f"--encoder={encoder}",
        "--preset=smoke",
        "--game=breakout",
        f"--steps={PROBE_STEPS}",
        f"--root={small['root']}",
        "--workers=1",
    ]
