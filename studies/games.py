"""Does every annotated game go through, and which variables does the entropy filter keep?

    python studies/games.py --out results/games

For each game the script collects as many frames as the paper probes, splits and filters them, and
probes Random-CNN briefly. Where the filter and the paper's tables disagree on a variable, it
collects with further seeds and estimates how likely the paper's outcome is. It writes a JSON file
per game and three tables: ``games.md``, ``differences.md`` and ``budgets.md``. A game whose file
is there is not done again.

A longer collection begins with the rows of a shorter one, so the budgets of the presets are cut
from one collection. The collections stay under ``--root`` and take 10 to 100 MB a game.
"""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from record import script_parser, write_record
from rich.console import Console
from rich.markdown import Markdown

from lightning_stdim.datamodules import store
from lightning_stdim.datamodules.atari import AtariDataModule
from lightning_stdim.datamodules.batches import ProbeData
from lightning_stdim.datamodules.labels.annotations import annotation, probed_in_paper, ram2label
from lightning_stdim.datamodules.labels.entropy_filter import ENTROPY_THRESHOLD, entropy, scored
from lightning_stdim.datamodules.labels.games import default_label_set, games
from lightning_stdim.datamodules.probe_data import load_probe_data
from lightning_stdim.datamodules.splits import PROBE_FRACTIONS, Int64, frames_of, split_episodes
from lightning_stdim.encoders import resolve_encoder
from lightning_stdim.errors import ConfigurationError
from lightning_stdim.presets import read_preset
from lightning_stdim.probes import ConvergedSettings, PaperSettings, evaluate_encoder, majority
from lightning_stdim.report.published import paper

PRESETS = ("smoke", "laptop", "paper")
STAGES = {"pretrain": {"train": 0.8, "val": 0.2}, "probe": PROBE_FRACTIONS}
REFERENCE: dict[str, Any] = {
    "min_episode_length": 66,  # more than 64 frames, of which it does not keep the last
    "split_order": "time",
    "stale_first_label": True,
}
RUNS = 7
"""Methods in the paper's tables, each with frames of its own; no table has a gap, so that a
variable is listed where all of them kept it."""
DRAWS = 4000
"""Collections that are drawn from the games that there are, to see how an entropy varies."""
EVERY = 50
"""Of the frames that are probed, so that probing takes seconds."""
RENAMED = {
    ("mspacman", "enemy_sue_x"): "not its entropy: an earlier version of the reference "
    "(aari/ram_annotations.py, commit 6f5be4b) names the byte `sue_x`, and the paper lists it "
    "under neither name, for neither agent"
}


def study(game: str, seeds: int, root: str) -> dict[str, Any]:
    def module(seed: int) -> AtariDataModule:
        return AtariDataModule(game, seed=seed, root=root, stage="probe")

    path = module(0).collect("probe")
    collection = store.read(path, with_frames=False)
    data = load_probe_data(path, seed=0)
    described = annotation(game, default_label_set(game))
    labels = ram2label(game, collection.ram, default_label_set(game))
    kept, _ = scored(labels, described.variables)
    ours = [described.variables[column] for column in kept]
    published = probed_in_paper(game, "random_agent")
    differing = sorted(set(ours) ^ set(published)) if published else []
    collections = [collection]
    if any((game, variable) not in RENAMED for variable in differing):
        for seed in range(1, seeds):
            collections.append(store.read(module(seed).collect("probe"), with_frames=False))
    return {
        "game": game,
        "label_set": described.label_set,
        "seed": 0,
        "steps": len(collection),
        "episodes": episodes(collection),
        "splits": {name: data.provenance[name] for name in ("frames", "test_duplicates_removed")},
        "entropy": {v: entropy(labels[:, k]) for k, v in enumerate(described.variables)},
        "kept": ours,
        "in_paper": published,
        "differences": {v: difference(collections, v, v in ours) for v in differing},
        "budgets": budgets(collection, labels, described.variables),
        "majority": majority_as_in_the_paper(path),
        "random_cnn": probe(data),
    }


def episodes(collection: store.Collection) -> dict[str, Any]:
    length = collection.episode_length
    return {
        "games": len(np.unique(collection.episode_seed)),
        "number": len(length),
        "length": {
            "min": int(length.min()),
            "median": float(np.median(length)),
            "max": int(length.max()),
        },
        "share_of_frames_under_65": float(length[length < 65].sum() / length.sum()),
    }


def difference(collections: list[store.Collection], variable: str, kept: bool) -> dict[str, Any]:
    """Ask how the entropy of one variable varies, and how likely the paper's outcome is.

    A game is what varies independently: as many games as a collection has are drawn again, with
    replacement, from those of all seeds.
    """
    found: dict[str, Any] = {}
    for reading in ("all frames", "as the reference"):
        counts = [games_counts(c, variable, reading == "as the reference") for c in collections]
        pooled = np.concatenate(counts)
        rng = np.random.default_rng(0)
        times = rng.multinomial(len(counts[0]), np.full(len(pooled), 1 / len(pooled)), DRAWS)
        under = np.mean([nats(drawn) < ENTROPY_THRESHOLD for drawn in times @ pooled])
        all_keep = (1 - under) ** RUNS
        found[reading] = {
            "entropy_by_seed": [nats(c.sum(0)) for c in counts],
            "chance_of_being_dropped": float(under),
            "chance_of_the_paper_s_outcome": float(1 - all_keep if kept else all_keep),
        }
    return found


def games_counts(
    collection: store.Collection, variable: str, reference: bool
) -> NDArray[np.float64]:
    """Count the values in every game: float [games, 256]."""
    game = str(collection.attributes["game"])
    described = annotation(game, default_label_set(game))
    values = described.decode(collection.ram)[:, described.variables.index(variable)]
    length, start = collection.episode_length, collection.episode_start
    rows = np.arange(len(values))
    if reference:  # short episodes left out, and an episode's first label is the one before it
        long = np.flatnonzero(length >= REFERENCE["min_episode_length"])
        rows = frames_of(long, start, length, skip=1)
    _, played = np.unique(collection.episode_seed, return_inverse=True)
    counts = np.zeros((played.max() + 1, 256))
    np.add.at(counts, (np.repeat(played, length)[rows], values[rows]), 1)
    return counts


def nats(counts: NDArray[np.float64]) -> float:
    p = counts[counts > 0] / counts.sum()
    return float(-(p * np.log(p)).sum())


def budgets(
    collection: store.Collection, labels: NDArray[np.int64], variables: tuple[str, ...]
) -> list[dict[str, Any]]:
    """Split what a shorter collection would hold, by every preset and in both stages."""
    found = []
    for preset in PRESETS:
        sizes = read_preset(preset)["data"]
        for stage in STAGES:
            steps = min(sizes["steps" if stage == "pretrain" else "probe_steps"], len(collection))
            length = cut(collection.episode_length, steps)
            entry: dict[str, Any] = {
                "preset": preset,
                "stage": stage,
                "steps": steps,
                "episodes": len(length),
            }
            try:
                parts = split(length, stage)
            except ConfigurationError as error:
                entry |= {"error": str(error), **suggestion(collection, stage, str(error))}
            else:
                frames = {name: int(length[part].sum()) for name, part in parts.items()}
                entry["shares"] = {name: n / steps for name, n in frames.items()}
                if stage == "probe":
                    start = np.cumsum(length) - length
                    train, test = (
                        labels[frames_of(parts[name], start, length)] for name in ("train", "test")
                    )
                    kept, _ = scored(labels[:steps], variables)
                    entry["scored"] = len(kept)
                    entry["constant_in_train"] = [
                        variables[k] for k in kept if np.ptp(train[:, k]) == 0 < np.ptp(test[:, k])
                    ]
                    entry["test_labels_not_in_train"] = {
                        variables[k]: float(np.mean(~np.isin(test[:, k], train[:, k])))
                        for k in kept
                    }
            found.append(entry)
    return found


def split(length: Int64, stage: str) -> dict[str, Int64]:
    return split_episodes(
        length, fractions=STAGES[stage], seed=0, min_length=2 if stage == "pretrain" else 1
    )


def cut(length: Int64, steps: int) -> Int64:
    """Give the lengths of the episodes of a shorter collection."""
    shorter = np.diff(np.minimum(np.cumsum(length), steps), prepend=0)
    return shorter[shorter > 0]


def suggestion(collection: store.Collection, stage: str, message: str) -> dict[str, Any]:
    """Do what the error says, if the collection reaches so far."""
    match = re.search(r"(\d+) steps would do", message)
    assert match is not None
    steps = int(match[1])
    if steps > len(collection):
        return {"suggested_steps": steps, "they_do": None}
    try:
        split(cut(collection.episode_length, steps), stage)
    except ConfigurationError:
        return {"suggested_steps": steps, "they_do": False}
    return {"suggested_steps": steps, "they_do": True}


def majority_as_in_the_paper(path: Path) -> float:
    scores = majority(load_probe_data(path, seed=0, with_frames=False, **REFERENCE))
    return float(scores["protocols"]["majority"]["f1"]["mean_over_categories"])


def probe(data: ProbeData) -> dict[str, Any]:
    """Probe some frames of every split, in little time: the way from frames to a score."""
    thin = replace(data, splits={name: part[::EVERY] for name, part in data.splits.items()})
    scores = evaluate_encoder(
        resolve_encoder("random", seed=0),
        thin,
        paper=PaperSettings(max_epochs=5),
        converged=ConvergedSettings(strengths=(1e-1,)),
        controls=False,
        progress=False,
    )
    return {name: table["f1"] for name, table in scores["protocols"].items()}


def games_table(records: list[dict[str, Any]]) -> str:
    lines = [
        "| game | games played | episodes | frames per episode: least, median, most "
        "| frames in episodes under 65 | train, val, test frames | duplicates removed from test "
        "| variables scored of annotated (in the paper) | F1 of majority as the reference "
        "(paper's) | F1 of Random-CNN `paper`, `converged`, short |",
        "|---" * 10 + "|",
    ]
    for r in records:
        length, frames = r["episodes"]["length"], r["splits"]["frames"]
        published = paper(r["game"], "majority")
        theirs = published.scores["mean_over_categories"] if published else None
        f1 = [r["random_cnn"][p]["mean_over_categories"] for p in ("paper", "converged")]
        lines.append(
            f"| {r['game']} | {r['episodes']['games']} | {r['episodes']['number']} "
            f"| {length['min']}, {length['median']:.0f}, {length['max']} "
            f"| {r['episodes']['share_of_frames_under_65']:.0%} "
            f"| {', '.join(str(n) for n in frames.values())} "
            f"| {r['splits']['test_duplicates_removed']} "
            f"| {len(r['kept'])} of {len(r['entropy'])} ({len(r['in_paper']) or '–'}) "
            f"| {r['majority']:.2f} ({'–' if theirs is None else f'{theirs:.2f}'}) "
            f"| {', '.join(f'{x:.2f}' for x in f1)} |"
        )
    return "\n".join(lines) + "\n"


def differences_table(records: list[dict[str, Any]]) -> str:
    lines = [
        "| game | variable | entropy by seed, all frames | chance of the paper's outcome "
        "| entropy by seed, as the reference | chance of the paper's outcome | explanation |",
        "|---" * 7 + "|",
    ]
    for r in records:
        for variable, found in r["differences"].items():
            cells = []
            for reading in found.values():
                cells.append(", ".join(f"{h:.2f}" for h in reading["entropy_by_seed"]))
                cells.append(f"{reading['chance_of_the_paper_s_outcome']:.2f}")
            how = "scored here only" if variable in r["kept"] else "scored in the paper only"
            lines.append(
                f"| {r['game']} | `{variable}`, {how} | {' | '.join(cells)} "
                f"| {explanation(r['game'], variable, found)} |"
            )
    return "\n".join(lines) + "\n"


def explanation(game: str, variable: str, found: dict[str, Any]) -> str:
    if (game, variable) in RENAMED:
        return RENAMED[game, variable]
    chances = [reading["chance_of_the_paper_s_outcome"] for reading in found.values()]
    if chances[0] >= 0.05:
        return "varies between collections, across the threshold"
    if chances[1] >= 0.05:
        return "varies across the threshold once short episodes are left out, the reference's way"
    return "unexplained"


def budgets_table(records: list[dict[str, Any]]) -> str:
    columns = [(b["preset"], b["stage"], b["steps"]) for b in records[0]["budgets"]]
    lines = [
        "| game | " + " | ".join(f"{p}, {s}: {n} steps" for p, s, n in columns) + " |",
        "|---" * (len(columns) + 1) + "|",
    ]
    for r in records:
        cells = []
        for entry in r["budgets"]:
            if "error" in entry:
                does = {True: "do", False: "do not", None: "not tried"}[entry["they_do"]]
                cells.append(f"too few episodes; {entry['suggested_steps']} steps: {does}")
                continue
            shares = "/".join(f"{100 * share:.0f}" for share in entry["shares"].values())
            notes = [f"`{v}` constant in train" for v in entry.get("constant_in_train", [])]
            unseen = [
                share for share in entry.get("test_labels_not_in_train", {}).values() if share > 0.5
            ]
            notes += [f"{len(unseen)} variables unseen"] if unseen else []
            cells.append("; ".join([f"{shares} of {entry['episodes']}", *notes]))
        lines.append(f"| {r['game']} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = script_parser(__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder for records and tables")
    parser.add_argument("--root", default="data", help="folder of the collections")
    parser.add_argument(
        "--seeds", type=int, default=3, help="seeds for variables that differ from the paper"
    )
    parser.add_argument(
        "--games", default=",".join(games("upstream")), help="games, separated by commas"
    )
    arguments = parser.parse_args()
    records = []
    for game in arguments.games.split(","):
        path = arguments.out / f"{game}.json"
        if not path.exists():
            print(game, flush=True)
            write_record(str(path), study(game, arguments.seeds, arguments.root))
        records.append(json.loads(path.read_text()))
    for name, table in (
        ("games", games_table(records)),
        ("differences", differences_table(records)),
        ("budgets", budgets_table(records)),
    ):
        (arguments.out / f"{name}.md").write_text(table)
        Console().print(Markdown(table))


if __name__ == "__main__":
    main()
