"""Checks of values given by users."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import SupportsIndex, TypeVar

from lightning_stdim.errors import ConfigurationError

T = TypeVar("T", bound=str)
LARGEST = 2**63 - 1
"""The largest integer that files hold."""


def integer(name: str, value: SupportsIndex, *, at_least: int = 0, at_most: int = LARGEST) -> int:
    """Check that a value is an integer, of any type, NumPy's included, and within its range.

    Args:
        name: what to call the value in an error.
        value: the value; one that would have to be rounded is refused.
        at_least: the smallest integer that is accepted.
        at_most: the largest one.

    Returns:
        The value as a Python integer.

    Raises:
        ConfigurationError: the value is not an integer or out of range.
    """
    try:
        number = operator.index(value)
    except TypeError:
        raise ConfigurationError(f"{name}={value!r} must be an integer") from None
    if not at_least <= number <= at_most:
        most = "" if at_most == LARGEST and number < at_least else f" and at most {at_most}"
        raise ConfigurationError(f"{name}={number} must be at least {at_least}{most}")
    return number


def one_of(name: str, value: str, choices: Sequence[T]) -> T:
    """Check that a value is one of the choices.

    Args:
        name: name of the option, for the message.
        value: what was given.
        choices: what can be given.

    Returns:
        The value.

    Raises:
        ConfigurationError: it is none of them.
    """
    for choice in choices:
        if choice == value:
            return choice
    raise ConfigurationError(
        f"{name}={value!r} is unknown: choose from {', '.join(map(str, choices))}"
    )


def ascending(name: str, values: Iterable[SupportsIndex]) -> tuple[int, ...]:
    """Check that values are integers of at least 0, each greater than the one before.

    Args:
        name: what to call the values in an error.
        values: the values.

    Returns:
        The values as Python integers.

    Raises:
        ConfigurationError: a value is not such an integer, or not greater than the one before.
    """
    numbers = tuple(integer(name, value) for value in values)
    for one, following in pairwise(numbers):
        if following <= one:
            what = "is given twice" if following == one else f"follows {one}"
            raise ConfigurationError(f"{name}: {following} {what}; give each once, in rising order")
    return numbers


def not_empty(name: str, path: str | None) -> None:
    """Refuse an empty path, such as a script's variable that was not set.

    It would be the current folder, or be taken for an option that was not given.

    Args:
        name: the option's name, for the message.
        path: the path; None if the option was not given.

    Raises:
        ConfigurationError: the path is empty.
    """
    if path == "":
        raise ConfigurationError(
            f"{name} is empty: give a path, such as runs/mine, or leave it out"
        )
