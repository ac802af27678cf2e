from __future__ import annotations

import io

from rich.console import Console

from lightning_stdim.cli.console import print_scores


def test_a_table_that_is_wider_than_the_terminal_is_whole(make_result) -> None:
    protocols = ("paper", "converged", "challenge")
    scores = make_result(protocols=protocols, by_report=("challenge",))["scores"]
    for metrics in scores["protocols"].values():
        for metric in metrics.values():
            metric["mean_weighted_by_entropy"] = None
    console = Console(width=60, file=io.StringIO())
    print_scores(scores, console)
    printed = console.file.getvalue()
    assert "…" not in printed
    assert "small_object_localization" in printed
    assert printed.count("0.900") == 6  # F1 of player_y and of its category
    assert "report's F1" in printed
