"""The notes and budgets of a comparison."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from statistics import fmean

from lightning_stdim.report.names import Group
from lightning_stdim.report.runs_on_disk import describe_frames, label_set_of
from lightning_stdim.runs.results import Budget, Results

BUDGET_ROWS = ("pretraining frames", "probe frames", "epochs", "time", "runs")

PUBLISHED_LABELS = "paper 1"
"""The label set, with its version, of the published numbers."""

SMOKE = "smoke"
"""The preset that is too small for its scores to mean anything."""

SUPERVISED_OF_REPORT = (
    "The challenge report's Supervised numbers are validation scores, after epoch 12 of the first "
    "of its two runs, as its logs show; they are not test scores."
)
"""What the reader of the challenge report's numbers must know."""


def _dropped(runs: Sequence[Results], where: str) -> Iterator[str]:
    """Say which variables of one label set were not scored, and why."""
    seeds = {run["seed"] for run in runs}
    dropped: dict[str, dict[int, str]] = defaultdict(dict)
    for run in runs:
        for name, why in run["scores"]["dropped"].items():
            dropped[name][run["seed"]] = why
    for name, reasons in sorted(dropped.items()):
        why = reasons[min(reasons)]
        if len(reasons) == len(seeds):
            yield f"Not scored{where}: {name} ({why})."
        else:  # its frames vary enough with the other seeds
            without = ", ".join(map(str, sorted(reasons)))
            yield (
                f"Not scored with seed {without}{where}: {name} ({why}); its row is over the "
                "other seeds."
            )


def notes_of(runs: Sequence[Results], groups: Collection[Group] | None) -> tuple[str, ...]:
    """Write the notes below a comparison.

    Args:
        runs: results of one game, at least one.
        groups: the origins of the published numbers in it; None if no published numbers compare.

    Returns:
        The notes, a sentence or two each.
    """
    seeds = sorted({run["seed"] for run in runs})
    presets = sorted({run["preset"] or "none" for run in runs})
    count = f"seed{'s' * (len(seeds) > 1)} {', '.join(map(str, seeds))}"
    notes = [f"Ours: preset {', '.join(presets)}; {count}."]
    if len(seeds) > 1:
        notes.append(
            "± is half the width of the 95 % Student t interval of the mean over seeds; it is left "
            "out where all seeds have the same score."
        )
    else:
        notes.append("A single seed: no interval can be given.")
    notes.append(
        "Probes: the paper protocol is the published optimiser on raw features; the converged "
        "protocol is the regularised convex problem on standardised features, solved to its "
        "optimum; end to end is the supervised network's own heads."
    )
    if any("challenge" in run["scores"]["protocols"] for run in runs):
        notes.append(
            "Challenge is the protocol of the challenge report: frames that are not divided by "
            "255, Adam with a learning rate of 0.05, the last weights. The challenge report's F1 "
            "compares with that report's numbers alone: it is weighted by predictions instead of "
            "labels, and averaged over batches of 64 frames."
        )
    sets = sorted({label_set_of(run) for run in runs})
    kinds = sorted({(label_set_of(run), describe_frames(run)) for run in runs})
    for labels, frames in kinds:
        of_kind = [
            run for run in runs if (label_set_of(run), describe_frames(run)) == (labels, frames)
        ]
        where = [f"label set {labels}"] * (len(sets) > 1) + [frames] * bool(frames)
        notes += _dropped(of_kind, f" ({', '.join(where)})" if where else "")
    if SMOKE in presets:
        notes.append(f"The scores of preset {SMOKE} mean nothing: it only tries out the commands.")
    if groups is None:
        notes.append("Published numbers are for the label set paper, so none are shown here.")
    groups = groups or ()
    if "paper" in groups:
        notes.append(
            "Published numbers are for a random agent and the game's default mode, without a "
            "spread. Those in italics are means of the published numbers of single variables."
        )
    if "report" in groups:
        notes.append(
            "Challenge report (NeurIPS 2019 Reproducibility Challenge): one run of each method. "
            f"{SUPERVISED_OF_REPORT}"
        )
    if "reproduction" in groups:
        notes.append(
            "Reproduction: one run of ST-DIM on every published game, with the authors' code "
            "(Alacchi, Lam and Perreault-Lafleur 2019, Table 1)."
        )
    if "paper-ppo" in groups:
        notes.append(
            "Published, PPO agent: numbers for frames that the authors' PPO agent collected, "
            "with a fifth of the actions random (Tables 6 and 7), beside ours for frames that an "
            "agent collected. Different agents see different frames."
        )
    if groups and sets != [PUBLISHED_LABELS]:
        notes.append(
            "Columns of different label sets are of different tasks; published numbers are for "
            f"{PUBLISHED_LABELS}."
        )
    notes.append(f"Made with {made_with(runs)}.")
    return tuple(notes)


def made_with(runs: Sequence[Results]) -> str:
    """Name the software and hardware of runs, every combination once.

    Args:
        runs: results of any games and methods.

    Returns:
        The combinations, separated by semicolons.
    """
    kinds: dict[str, None] = {}  # ordered, once each
    for run in runs:
        known = run["environment"]
        commit = f" ({known['commit'][:10]})" if known.get("commit") else ""
        torch = (known.get("packages") or {}).get("torch")
        hardware = known.get("gpu") or f"{known.get('cores', '?')} cores of {known.get('cpu', '?')}"
        kinds[f"lightning-stdim {known.get('package')}{commit}, torch {torch}, {hardware}"] = None
    return "; ".join(kinds)


def budget_of(budgets: Sequence[Budget]) -> dict[str, str]:
    """Summarise what runs cost.

    Args:
        budgets: budgets of the runs that are averaged.

    Returns:
        Text by the names in BUDGET_ROWS; an entry that is not known is absent.
    """
    pretrained = [budget.get("pretrain_frames") for budget in budgets if budget.get("epochs")]
    text = {
        "pretraining frames": _span(pretrained),
        "probe frames": _span([budget.get("probe_frames") for budget in budgets]),
        "epochs": _span([budget.get("epochs") for budget in budgets]),
        "time": _time([budget.get("seconds") for budget in budgets]),
        "runs": str(len(budgets)),
    }
    return {name: value for name, value in text.items() if value}


def published_budget(group: Group, method: str) -> dict[str, str]:
    """Summarise what published numbers cost.

    Args:
        group: the origin of the numbers.
        method: such as ``"st-dim"``.

    Returns:
        Text by the names in BUDGET_ROWS; an entry that is not known is absent.
    """
    if group == "report":
        return {"time": "6-8 h", "runs": "1"}
    if group == "reproduction":
        return {"pretraining frames": "100k", "runs": "1"}
    trained = method in ("st-dim", "supervised")
    budget = {"probe frames": "50k", "epochs": "≤100" if trained else ""}
    if method == "st-dim":
        budget["pretraining frames"] = "100k"
    return {name: value for name, value in budget.items() if value}


def _span(counts: Sequence[int | None]) -> str:
    """Write the counts of several runs: one number if they agree, otherwise the range."""
    known = [count for count in counts if count]
    if not known:
        return ""
    low, high = _short(min(known)), _short(max(known))
    return low if low == high else f"{low}-{high}"


def _short(count: int) -> str:
    return f"{count / 1000:g}k" if count >= 1000 else str(count)


def _time(seconds: Sequence[float | None]) -> str:
    known = [value for value in seconds if value is not None]
    if not known:
        return ""
    mean = fmean(known)
    if mean < 100:
        return f"{mean:.0f} s"
    return f"{mean / 60:.0f} min" if mean < 6000 else f"{mean / 3600:.1f} h"
