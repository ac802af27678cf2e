"""Numbers with their nouns."""

from __future__ import annotations


def counted(number: float, noun: str) -> str:
    """Write a number with its noun in the singular or the plural.

    Args:
        number: how many there are, a whole number or infinity.
        noun: the singular of a noun with a plural in -s.

    Returns:
        Such as ``"1 episode"`` or ``"3 episodes"``.
    """
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
