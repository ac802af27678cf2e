"""How long does it take to probe all variables of a game with both protocols?

    python benchmarks/probing.py [--out results/benchmarks/probing.json]

The encoder is at its initialisation, since probing takes no longer after training. The frames are
encoded once, which is timed by itself, and the two protocols share the features.
"""

from __future__ import annotations

import time
from itertools import pairwise

import as_command_line  # noqa: F401
import torch
from record import print_table, script_parser, write_record

from lightning_stdim.datamodules.atari import AtariDataModule
from lightning_stdim.encoders import resolve_encoder
from lightning_stdim.probes.converged import train_converged
from lightning_stdim.probes.evaluate import encode_splits
from lightning_stdim.probes.paper import train_paper
from lightning_stdim.probes.scores import score_predictions


def main() -> None:
    parser = script_parser(__doc__)
    parser.add_argument("--game", default="pong", help="game to play")
    parser.add_argument("--steps", type=int, default=50_000, help="frames to probe")
    parser.add_argument("--seed", type=int, default=0, help="random seed of the split")
    parser.add_argument("--root", default="data", help="where collections are kept")
    parser.add_argument("--device", default="cpu", help="device that encodes and probes")
    parser.add_argument("--out", help="file for the record (JSON)")
    arguments = parser.parse_args()
    data = AtariDataModule(
        arguments.game,
        probe_steps=arguments.steps,
        seed=arguments.seed,
        root=arguments.root,
        stage="probe",
    ).probe_data()
    encoder = resolve_encoder("random", seed=arguments.seed)

    marks = [time.perf_counter()]
    features = encode_splits(encoder, data, device=arguments.device, progress=True)
    marks.append(time.perf_counter())
    predictions, _, paper = train_paper(features, seed=arguments.seed, progress=True)
    scores = {"paper": score_predictions(predictions, features.labels["test"], data)}
    marks.append(time.perf_counter())
    predictions, converged = train_converged(features, progress=True)
    scores["converged"] = score_predictions(predictions, features.labels["test"], data)
    marks.append(time.perf_counter())
    encoding, *probing = (after - before for before, after in pairwise(marks))
    seconds = dict(zip(scores, probing, strict=True))

    frames = {split: len(part) for split, part in data.splits.items()}
    threads = torch.get_num_threads()
    f1 = {name: metrics["f1"] for name, metrics in scores.items()}
    print_table(
        f"{arguments.game}: {len(data.variables)} variables, "
        f"{' + '.join(map(str, frames.values()))} frames, {arguments.device}, {threads} threads",
        ("", "seconds", "F1 over categories"),
        [
            ("encoding, once", f"{encoding:.1f}", ""),
            *(
                (name, f"{value:.1f}", f"{f1[name]['mean_over_categories']:.3f}")
                for name, value in seconds.items()
            ),
            ("both protocols", f"{sum(seconds.values()):.1f}", ""),
        ],
    )
    write_record(
        arguments.out,
        {
            "game": arguments.game,
            "frames": frames,
            "device": arguments.device,
            "threads": threads,
            "seconds": {"encoding": encoding, **seconds, "both": sum(seconds.values())},
            "f1": f1,
            "per_variable": {"paper": paper, "converged": converged},
        },
    )


if __name__ == "__main__":
    main()
