"""In which environment did the challenge report play?

    python studies/report_environment.py --root data --out results/studies/report_environment.json

Its code names the game Pong-v0 and wraps it by a function that refuses that name, so either the
name or the check was another when it ran. The script collects frames in both environments, and in
the paper's, and splits them as the report's code does. It compares them with what the report's logs
give away: the numbers of whole batches in the splits, which the accuracies are multiples of; and
the entropies of the labels, which are what the training loss of its two supervised runs comes to
once their encoder is dead and only biases learn; since Adam keeps moving these, it stays a little
above the entropy. A log fits an environment if it is within three standard deviations of the mean
over the seeds.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from record import print_table, script_parser, write_record, write_table

from lightning_stdim.datamodules.atari import AtariDataModule
from lightning_stdim.datamodules.batches import ProbeData
from lightning_stdim.datamodules.emulator.environments import ENVIRONMENTS
from lightning_stdim.datamodules.labels.entropy_filter import entropy

BATCH = 64
STEPS = 50_000
LOGS: dict[str, tuple[float, ...]] = {
    # Accuracies of pong-sup, pong-sup-run-2 and pong-2, and of both test results.
    "whole batches, train": (545, 539, 549),
    "whole batches, val": (82, 78, 73),
    "whole batches, test": (145, 146),
    # The last training losses of pong-sup and pong-sup-run-2.
    "entropy of player_y": (4.055, 4.030),
    "entropy of enemy_y": (4.450, 4.450),
    "entropy of ball_x": (3.766, 3.783),
    "entropy of ball_y": (3.878, 3.889),
    "entropy of enemy_score": (3.055, 3.054),
    "entropy of player_score": (0.647, 0.607),
}


def measure(data: ProbeData) -> dict[str, float]:
    """Compute what the logs give away, and the number of episodes, from collected frames."""
    found: dict[str, float] = {"episodes": sum(map(len, data.provenance["episodes"].values()))}
    for split, part in data.splits.items():
        found[f"whole batches, {split}"] = len(part) // BATCH
    found["duplicates removed from test"] = data.provenance["test_duplicates_removed"]
    labels = data.labels[data.splits["train"]].numpy()
    for name, column in zip(data.variables, labels.T, strict=True):
        found[f"entropy of {name}"] = entropy(column)
    return found


def collected(environment: str, seed: int, root: str) -> ProbeData:
    """Collect frames, and split them as the report's code does."""
    return AtariDataModule(
        "pong",
        probe_steps=STEPS,
        seed=seed,
        root=root,
        environment=environment,  # type: ignore[arg-type]
        stage="probe",
        entropy_threshold=0.0,  # the scores of a seed may be just below the usual one
        split_order="time",
        split_by="episodes",
        stale_first_frame=True,
        min_episode_length=3,
    ).probe_data()


def compared(measured: list[dict[str, float]]) -> dict[str, dict[str, Any]]:
    """Summarise the seeds of an environment, and say what of the logs they could have written."""
    summary: dict[str, dict[str, Any]] = {}
    for name in measured[0]:
        values = np.array([one[name] for one in measured])
        summary[name] = {
            "min": float(values.min()),
            "mean": float(values.mean()),
            "max": float(values.max()),
        }
        if name in LOGS:
            low, high = values.mean() + 3 * values.std(ddof=1) * np.array([-1, 1])
            summary[name]["fits"] = all(low <= log <= high for log in LOGS[name])
    return summary


def shown(value: float) -> str:
    return f"{value:.0f}" if value >= 10 else f"{value:.3f}"


def main() -> None:
    parser = script_parser(__doc__)
    parser.add_argument("--seeds", type=int, default=8, help="number of collections of each kind")
    parser.add_argument("--root", default="data", help="folder of the collections")
    parser.add_argument("--out", help="file for the record (JSON)")
    arguments = parser.parse_args()
    measured = {
        environment: [
            measure(collected(environment, seed, arguments.root)) for seed in range(arguments.seeds)
        ]
        for environment in ENVIRONMENTS
    }
    summaries = {environment: compared(found) for environment, found in measured.items()}
    headings = ("", "the report's logs", *summaries)
    rows = []
    for name in next(iter(summaries.values())):
        cells = [
            f"{shown(part['min'])} to {shown(part['max'])}, mean {shown(part['mean'])}"
            + {True: "", False: " ✗", None: ""}[part.get("fits")]
            for part in (summary[name] for summary in summaries.values())
        ]
        rows.append((name, ", ".join(map(shown, LOGS.get(name, ()))), *cells))
    counts = [
        sum(part["fits"] for part in summary.values() if "fits" in part)
        for summary in summaries.values()
    ]
    rows.append(("fit, of the lines with logs", "", *(f"{n} of {len(LOGS)}" for n in counts)))
    print_table(f"Splits of {STEPS} frames of Pong as the report made them", headings, rows)
    record = {"logs": LOGS, "measured": measured, "summary": summaries}
    write_record(arguments.out, record)
    write_table(arguments.out, headings, rows)


if __name__ == "__main__":
    main()
