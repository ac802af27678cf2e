"""Which cells a benchmark has: games x methods x seeds, by name."""

from __future__ import annotations

from collections.abc import Sequence

from lightning_stdim.benchmark.cells import NEEDS_FILE, Cell, check_method
from lightning_stdim.datamodules.labels import canonical_game
from lightning_stdim.datamodules.labels import games as annotated_games
from lightning_stdim.errors import ConfigurationError
from lightning_stdim.presets import method_names

ALL = "all"


def grid(games: Sequence[str], methods: Sequence[str], seeds: Sequence[int]) -> list[Cell]:
    """Spell out the cells.

    Args:
        games: any spelling that is understood elsewhere; ``"all"`` stands for the paper's 22.
        methods: ``"majority"``, names from ``presets.method_names``, classes of methods such as
            ``"my_module.MyMethod"``, or YAML files with options of ``fit``; ``"all"`` stands for
            all that need no further file.
        seeds: at least one, none negative.

    Returns:
        The cells, each once. Every seed completes a table before the next one begins.

    Raises:
        ConfigurationError: something is missing, or there is no such game or method.
    """
    for name, values in {"games": games, "methods": methods, "seeds": seeds}.items():
        if not values:
            raise ConfigurationError(f"no {name} given; at least one is needed")
    if min(seeds) < 0:
        raise ConfigurationError(f"seed {min(seeds)} is negative; seeds are 0 or more")
    chosen = [check_method(name) for method in methods for name in _methods(method)]
    cells = (
        Cell(canonical_game(game), method, seed)
        for seed in seeds
        for named in games
        for game in _games(named)
        for method in chosen
    )
    return list(dict.fromkeys(cells))


def _games(name: str) -> Sequence[str]:
    return annotated_games("paper") if name == ALL else [name]


def _methods(name: str) -> Sequence[str]:
    if name != ALL:
        return [name]
    return ["majority", *(method for method in method_names() if method not in NEEDS_FILE)]
