"""The rooms of the package import in one direction, and no module imports in a circle."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "lightning_stdim"
ROOM = {
    room: floor
    for floor, rooms in enumerate(
        [
            ["errors", "_version"],
            ["utils"],
            ["presets", "torch_environment", "datamodules", "objectives"],
            ["catalogue", "encoders", "callbacks"],
            ["decoders"],
            ["methods", "probes"],
            ["runs", "compat"],
            ["benchmark", "report"],
            ["cli"],
            ["__init__", "__main__", "predictions"],
        ]
    )
    for room in rooms
}
"""The floor of every room; a room imports from lower floors only. docs/design.md draws them."""


EARLIER_PATHS = {("callbacks", "lightning_stdim.probes.online")}
"""Names that a module still gives although they have moved up, imported when they are asked for."""


def modules() -> dict[str, Path]:
    """Every module by its name below the package; a package by its folder's."""
    found = {}
    for path in PACKAGE.rglob("*.py"):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        name = ".".join(parts[:-1] if len(parts) > 1 and parts[-1] == "__init__" else parts)
        found[name] = path
    return found


def imports(name: str, known: dict[str, Path], *, late: bool) -> Iterator[tuple[str, int]]:
    """The modules that one imports, and the lines; with those in functions if `late`."""
    tree = ast.parse(known[name].read_text())
    for statement in ast.walk(tree) if late else top_level(tree):
        targets: list[str] = []
        if isinstance(statement, ast.ImportFrom):
            assert statement.level == 0, f"{name}:{statement.lineno} imports relatively"
            module = statement.module or ""
            targets = [f"{module}.{alias.name}" for alias in statement.names]
        elif isinstance(statement, ast.Import):
            targets = [alias.name for alias in statement.names]
        elif isinstance(statement, ast.Call) and "import_module" in ast.unparse(statement.func):
            named = statement.args[0]
            if isinstance(named, ast.Constant) and (name, named.value) not in EARLIER_PATHS:
                targets = [str(named.value)]
        for target in targets:
            if not target.startswith("lightning_stdim"):
                continue
            inside = target.removeprefix("lightning_stdim").lstrip(".") or "__init__"
            while inside not in known and "." in inside:  # a name in a module
                inside = inside.rpartition(".")[0]
            yield (inside if inside in known else "__init__"), statement.lineno


def top_level(tree: ast.Module) -> Iterator[ast.AST]:
    """What runs when the module is imported, without what is for type checkers alone."""
    for statement in tree.body:
        if isinstance(statement, ast.If) and "TYPE_CHECKING" in ast.unparse(statement.test):
            continue
        yield statement


def room_of(name: str) -> str:
    return name.partition(".")[0]


def test_every_room_has_a_floor():
    assert {room_of(name) for name in modules()} == set(ROOM)


@pytest.mark.parametrize("name", sorted(modules()))
def test_imports_lead_to_lower_floors(name):
    if room_of(name) == "__init__":  # names the public ones of all rooms, and imports them late
        return
    own = room_of(name)
    wrong = [
        f"{name}:{line} imports {target}"
        for target, line in imports(name, modules(), late=True)
        if room_of(target) != own and ROOM[room_of(target)] >= ROOM[own]
    ]
    assert not wrong, "; ".join(wrong)


def test_no_circles():
    known = modules()
    graph = {
        name: {target for target, _ in imports(name, known, late=True)} - {name} for name in known
    }
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" imports ".join(error.args[1][::-1]))
