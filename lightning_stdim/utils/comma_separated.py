"""Comma-separated lists on a command line."""

from __future__ import annotations


def comma_separated(text: str) -> tuple[str, ...]:
    """Split a comma-separated list.

    Args:
        text: values separated by commas; spaces around them are removed.

    Returns:
        The values that are not empty.
    """
    return tuple(part.strip() for part in text.split(",") if part.strip())
