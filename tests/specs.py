from __future__ import annotations

from lightning_stdim.benchmark.run_spec import RunSpec, name_of
from lightning_stdim.runs.key import Option, RunKey


def spec(
    game: str = "pong",
    method: str = "st-dim",
    seed: int = 0,
    options: tuple[Option, ...] = (),
    source: RunSpec | None = None,
) -> RunSpec:
    """A run of the grid, as the command line names its method."""
    key = RunKey(game, name_of(method), seed, options, source.key if source else None)
    return RunSpec(key, method)
