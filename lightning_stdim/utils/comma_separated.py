"""Lists on a command line."""

from __future__ import annotations


def comma_separated(text: str) -> tuple[str, ...]:
    """Split a list.

    Args:
        text: values separated by commas; spaces around them do not count.

    Returns:
        The values that are not empty.
    """
    return tuple(part.strip() for part in text.split(",") if part.strip())
