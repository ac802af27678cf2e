from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

# Two categories of a game in the paper's label set; ball_x and ball_y share one.
CATEGORIES = {
    "small_object_localization": ["ball_x", "ball_y"],
    "agent_localization": ["player_y"],
}


def scores_of(variables: dict[str, float | None]) -> dict[str, Any]:
    def mean(values: list[float | None]) -> float | None:
        known = [value for value in values if value is not None]
        return sum(known) / len(known) if known else None

    categories = {
        name: mean([variables.get(member) for member in members])
        for name, members in CATEGORIES.items()
    }
    return {
        "variables": variables,
        "categories": categories,
        "mean_over_categories": mean(list(categories.values())),
        "mean_over_variables": mean(list(variables.values())),
    }


@pytest.fixture(scope="session")
def make_result() -> Callable[..., dict[str, Any]]:
    """Results whose F1 is `values` under every protocol, and whose accuracy is half of that.

    Under the protocols `by_report` there is the report's F1, too, a quarter of it.
    """

    def make(
        method: str = "st-dim",
        seed: int = 0,
        values: tuple[float | None, ...] = (0.2, 0.4, 0.9),
        protocols: tuple[str, ...] = ("paper", "converged"),
        by_report: tuple[str, ...] = (),
        **changes: Any,
    ) -> dict[str, Any]:
        names = ("ball_x", "ball_y", "player_y")
        f1 = scores_of(dict(zip(names, values, strict=True)))
        halves = [None if value is None else value / 2 for value in values]
        accuracy = scores_of(dict(zip(names, halves, strict=True)))
        quarters = [None if value is None else value / 4 for value in values]
        report = scores_of(dict(zip(names, quarters, strict=True)))
        return {
            "schema": 1,
            "game": "pong",
            "method": method,
            "preset": "laptop",
            "seed": seed,
            "scores": {
                "game": "pong",
                "label_set": "paper",
                "protocols": {
                    name: {"f1": f1, "accuracy": accuracy}
                    | ({"report_f1": report} if name in by_report else {})
                    for name in protocols
                },
                "dropped": {},
            },
            "budget": {
                "pretrain_frames": 12000,
                "probe_frames": 8000,
                "epochs": 5,
                "optimizer_steps": 900,
                "seconds": 125.0,
            },
            "command": "python -m lightning_stdim fit",
            "environment": {"package": "0.1.0", "packages": {"torch": "2.13.0"}, "cores": 2},
            **changes,
        }

    return make
