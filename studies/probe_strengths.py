"""Is the weakest regularisation of the converged protocol weak enough?

    python studies/probe_strengths.py RUN... --out results/studies/probe_strengths.json

For many variables of trained encoders the protocol chooses its weakest strength, 1e-6. The script
probes the encoder of every run, on the run's own frames, with the protocol's strengths and with
weaker ones down to 1e-9, and prints the F1 of either.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from probe_factors import select
from record import print_table, script_parser, write_record, write_table

from lightning_stdim import load_encoder
from lightning_stdim.datamodules.atari import AtariDataModule
from lightning_stdim.probes import ConvergedSettings
from lightning_stdim.probes.converged import train_converged
from lightning_stdim.probes.encode import encode
from lightning_stdim.probes.scores import score_predictions
from lightning_stdim.runs.results import read_results

USUAL = ConvergedSettings()
LEAST = min(USUAL.strengths)
WEAKER = replace(USUAL, strengths=(*USUAL.strengths, *(10 ** (-k / 2) for k in range(13, 19))))


def probe(run: Path, root: str) -> dict[str, Any]:
    """Probe one run's encoder with either range."""
    results = read_results(run)
    if results.get("variant"):
        raise SystemExit(f"{run} is of other frames than the usual ones: {results['variant']}")
    frames = results["budget"]["probe_frames"]
    assert frames is not None  # the run was probed
    data = AtariDataModule(
        results["game"],
        seed=results["seed"],
        stage="probe",
        probe_steps=frames,
        root=root,
    ).probe_data()
    features = select(encode(load_encoder(run / "encoder"), data.frames), data)
    found: dict[str, Any] = {"method": results["method"], "seed": results["seed"]}
    for name, settings in (("usual", USUAL), ("weaker", WEAKER)):
        predictions, details = train_converged(features, settings=settings)
        scores = score_predictions(predictions, features.labels["test"], data)
        found[name] = {"f1": scores["f1"], "variables": details}
    return found


def main() -> None:
    parser = script_parser(__doc__)
    parser.add_argument("runs", type=Path, nargs="+", help="run directories that hold an encoder/")
    parser.add_argument("--root", default="data", help="folder of the collections")
    parser.add_argument("--out", help="file for the record (JSON)")
    arguments = parser.parse_args()
    records = [probe(run, arguments.root) for run in arguments.runs]
    headings = ("encoder", "at 1e-6", "weaker than 1e-6", "F1", "F1, to 1e-9")
    rows = []
    for record in records:
        usual, weaker = record["usual"], record["weaker"]
        at = [variable["strength"] for variable in usual["variables"].values()]
        then = [variable["strength"] for variable in weaker["variables"].values()]
        rows.append(
            (
                f"{record['method']}, seed {record['seed']}",
                f"{sum(strength == LEAST for strength in at)} of {len(at)}",
                str(sum(strength < LEAST for strength in then)),
                *(f"{found['f1']['mean_over_categories']:.4f}" for found in (usual, weaker)),
            )
        )
    print_table("Variables at the weakest strength, and F1 over categories", headings, rows)
    write_record(arguments.out, {"encoders": records})
    write_table(arguments.out, headings, rows)


if __name__ == "__main__":
    main()
