"""Which cells there are."""

from __future__ import annotations

import pytest

from lightning_stdim.benchmark.cells import Cell
from lightning_stdim.benchmark.grid import grid
from lightning_stdim.benchmark.tables import METHODS
from lightning_stdim.errors import ConfigurationError


def test_every_seed_completes_a_table_before_the_next() -> None:
    cells = grid(["Pong", "ALE/Boxing-v5"], ["majority", "st-dim"], [0, 1])
    assert cells == [
        Cell(game, method, seed)
        for seed in (0, 1)
        for game in ("pong", "boxing")
        for method in ("majority", "st-dim")
    ]


def test_all() -> None:
    cells = grid(["all"], ["all"], [0])
    assert len({cell.game for cell in cells}) == 22
    assert {cell.method for cell in cells} == set(METHODS) - {"pretrained-agent"}
    assert len(cells) == len(set(cells)) == 22 * (len(METHODS) - 1)
    # What is named twice is there once.
    assert grid(["pong", "all"], ["st-dim", "st-dim"], [0])[0] == Cell("pong", "st-dim", 0)
    assert len(grid(["pong", "all"], ["st-dim", "st-dim"], [0])) == 22


def test_an_agent_needs_its_file() -> None:
    with pytest.raises(ConfigurationError, match=r"YAML file .*pretrained-agent\.md"):
        grid(["pong"], ["pretrained-agent"], [0])
