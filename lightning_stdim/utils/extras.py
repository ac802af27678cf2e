"""Advice on installing an extra of the package."""

from __future__ import annotations


def install_extra(name: str) -> str:
    """Say how to install an extra. The package is on no index, so a bare name would not do.

    Args:
        name: name of the extra, such as ``"export"``.

    Returns:
        Advice for the end of an error message.
    """
    # The quotes are for zsh, which takes brackets for a pattern.
    checkout = f'`pip install ".[{name}]"`'
    return f"install the extra {name!r}, in a checkout by {checkout}; the README has the other ways"
