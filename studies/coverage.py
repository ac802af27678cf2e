"""How often do 95 % intervals over few seeds cover the true mean over games?

    python studies/coverage.py [--out results/studies/coverage.md]

The scores are simulated: normal around a true mean of each game. How far the seeds of a game
deviate is drawn between 0.01 and 0.1 in every simulated world. The intervals are those of the
report. The table is printed as Markdown.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from record import script_parser

from lightning_stdim.report.statistics.aggregates import bootstrap, mean, paired_difference

WORLDS = 2000
GAMES = (1, 5, 22)
SEEDS = (2, 3, 5, 10)


def coverage(seeds: int, games: int) -> tuple[float, float]:
    """Compute the shares of worlds whose bootstrap and Student intervals cover the truth, 0."""
    random = np.random.default_rng(0)
    covered = np.zeros(2)
    for world in range(WORLDS):
        deviations = 10 ** random.uniform(-2, -1, size=games)
        scores = random.normal(size=(seeds, games)) * deviations
        student = paired_difference(scores, np.zeros_like(scores))
        percentiles = bootstrap(mean, scores, resamples=1000, seed=world)
        covered += [interval.low <= 0 <= interval.high for interval in (percentiles, student)]
    percentile, student = covered / WORLDS
    return float(percentile), float(student)


def main() -> None:
    parser = script_parser(__doc__)
    parser.add_argument("--out", help="file for the table (Markdown)")
    arguments = parser.parse_args()
    names = [f"{games} game{'s' * (games > 1)}" for games in GAMES]
    heads = [f"{kind}, {name}" for kind in ("bootstrap", "Student") for name in names]
    lines = ["| seeds | " + " | ".join(heads) + " |", "|---" * (1 + len(heads)) + "|"]
    for seeds in SEEDS:
        shares = np.array([coverage(seeds, games) for games in GAMES])  # [games, kind]
        lines.append("| " + " | ".join([str(seeds), *(f"{x:.2f}" for x in shares.T.flat)]) + " |")
    text = "\n".join(lines) + "\n"
    print(text, end="")
    if arguments.out:
        Path(arguments.out).write_text(text, "utf-8")


if __name__ == "__main__":
    main()
