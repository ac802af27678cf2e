"""Text files have one encoding, whatever the machine's locale."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import lightning_stdim

PACKAGE = Path(lightning_stdim.__file__).parent
PLACES = {"open": 3, "read_text": 0, "write_text": 1, "fdopen": 3}
"""Functions that take an encoding, and its place among the arguments (of ``open`` by a path: 2)."""


def without_encoding(source: str) -> Iterator[int]:
    """Find calls that leave the encoding of text to the locale, by their lines."""
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call):
            continue
        named = {word.arg: word.value for word in node.keywords}
        function = node.func
        name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
        if name in ("Popen", "run", "check_output"):
            if {"text", "universal_newlines"} & named.keys() and "encoding" not in named:
                yield node.lineno
        elif (
            name in PLACES
            and not {"encoding", "fileobj"} & named.keys()
            and len(node.args) <= PLACES[name]
        ):
            constants = [
                a.value for a in (*node.args, *named.values()) if isinstance(a, ast.Constant)
            ]
            modes = [c for c in constants if isinstance(c, str) and set(c) <= set("rwxab+t:gz")]
            if not any("b" in mode for mode in modes):
                yield node.lineno


def test_what_is_looked_for_is_found() -> None:
    bad = (
        "path.read_text()",
        "path.write_text(x)",
        "open(x)",
        "path.open('w')",
        "run(x, text=True)",
    )
    good = ("path.read_text('utf-8')", "path.write_text(x, 'utf-8')", "path.open('rb')")
    assert list(without_encoding("\n".join((*bad, *good)))) == [1, 2, 3, 4, 5]


def test_every_text_file_names_its_encoding() -> None:
    found = [
        f"{path.relative_to(PACKAGE)}:{line}"
        for path in sorted(PACKAGE.rglob("*.py"))
        for line in without_encoding(path.read_text("utf-8"))
    ]
    assert found == []
