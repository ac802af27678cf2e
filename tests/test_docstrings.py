"""Docstrings are contracts: what they list is what the signature takes."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import pkgutil
import sys
from collections.abc import Iterator
from typing import Any, NamedTuple

import docstring_parser
import pytest

import lightning_stdim


class Documented(NamedTuple):
    name: str
    thing: Any


def public_things() -> Iterator[Documented]:
    """Every public function, class and method that the package itself defines."""
    for module_info in pkgutil.walk_packages(lightning_stdim.__path__, "lightning_stdim."):
        if module_info.name.endswith("__main__"):
            continue
        module = importlib.import_module(module_info.name)
        for name, thing in vars(module).items():
            defined_here = getattr(thing, "__module__", None) == module_info.name
            if name.startswith("_") or not defined_here:
                continue
            if inspect.isfunction(thing) or inspect.isclass(thing):
                yield Documented(f"{module_info.name}.{name}", thing)
            if inspect.isclass(thing):
                for attribute, member in vars(thing).items():
                    member = getattr(member, "__func__", member)
                    own = inspect.isfunction(member) and member.__module__ == module_info.name
                    if own and not attribute.startswith("_"):
                        yield Documented(f"{module_info.name}.{name}.{attribute}", member)


THINGS = list(public_things())


def parameters(thing: Any) -> list[str]:
    """The names that a caller can give, with stars as a docstring writes them."""
    if inspect.isclass(thing):
        if getattr(thing, "_is_protocol", False) or issubclass(thing, tuple | BaseException):
            return []
        thing = vars(thing).get("__init__")  # an inherited one is documented where it is defined
        if thing is None:
            return []
    stars = {inspect.Parameter.VAR_POSITIONAL: "*", inspect.Parameter.VAR_KEYWORD: "**"}
    found = inspect.signature(thing).parameters.values()
    return [stars.get(p.kind, "") + p.name for p in found if p.name not in ("self", "cls")]


def documented(thing: Any, key: str) -> list[str]:
    parsed = docstring_parser.parse(inspect.getdoc(thing) or "", docstring_parser.Style.GOOGLE)
    return [meta.arg_name for meta in parsed.params if meta.args[0] == key]


def is_override(name: str) -> bool:
    """A method that a base class has (and documents), such as a hook of Lightning's."""
    owner, _, method = name.rpartition(".")
    module, _, class_name = owner.rpartition(".")
    owner_class = getattr(sys.modules.get(module), class_name, None)
    bases = owner_class.__mro__[1:] if inspect.isclass(owner_class) else ()
    return any(method in vars(base) for base in bases)


@pytest.mark.parametrize("case", THINGS, ids=[case.name for case in THINGS])
def test_docstring_matches_the_signature(case: Documented) -> None:
    name, thing = case
    assert inspect.getdoc(thing), f"{name} has no docstring"
    listed = documented(thing, "param")
    if not listed and (is_override(name) or dataclasses.is_dataclass(thing)):
        return  # documented elsewhere: by the base class, or as attributes
    assert listed == parameters(thing), f"Args of {name}"


RECORDS = [
    case
    for case in THINGS
    if dataclasses.is_dataclass(case.thing) or hasattr(case.thing, "_fields")
]


@pytest.mark.parametrize("case", RECORDS, ids=[case.name for case in RECORDS])
def test_attributes_are_the_fields(case: Documented) -> None:
    name, thing = case
    own = [field for field in inspect.get_annotations(thing) if not field.startswith("_")]
    listed = documented(thing, "attribute")
    # A class may say in another way what its fields are, but not list some and forget others.
    assert listed in ([], own), f"Attributes of {name}"


def test_the_check_finds_a_difference() -> None:
    def function(first: int, second: int) -> None:
        """Do something.

        Args:
            first: the first.
            third: the third.
        """

    assert documented(function, "param") == ["first", "third"]
    assert parameters(function) == ["first", "second"]
