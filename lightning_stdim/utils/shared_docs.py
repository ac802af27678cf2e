"""Descriptions of arguments that several signatures share, written once."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable
from typing import Any, TypeVar

import docstring_parser

T = TypeVar("T", bound=Callable[..., Any])

WIDTH = 100


def arguments_as_in(source: Callable[..., Any]) -> Callable[[T], T]:
    """Complete a docstring with another's descriptions, for ``help`` and the command line.

    An argument that is described by the words ``as in`` and the name of the source is given the
    source's description in place of them.

    Args:
        source: the class or function that describes the arguments.

    Returns:
        A decorator for the class or function whose docstring is to be completed.
    """
    described = {
        param.arg_name: param.description or ""
        for param in docstring_parser.parse(source.__doc__ or "").params
    }
    reference = re.compile(rf"^( *)(\w+): as in {source.__name__}\.$", re.MULTILINE)

    def text_of(found: re.Match[str]) -> str:
        indent, name = found.groups()
        return textwrap.fill(
            f"{name}: {' '.join(described[name].split())}",
            WIDTH,
            initial_indent=indent,
            subsequent_indent=f"{indent}    ",
            break_on_hyphens=False,
        )

    def complete(target: T) -> T:
        if target.__doc__:  # python -OO has none
            target.__doc__ = reference.sub(text_of, target.__doc__)
        return target

    return complete
