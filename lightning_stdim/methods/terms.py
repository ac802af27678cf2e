"""The check of what a method's ``loss`` returns."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from lightning_stdim.errors import ConfigurationError

CONTRACT = "`loss` must return a dict with 'loss', such as {\"loss\": value}"


def checked_terms(method: object, terms: object) -> Mapping[str, Tensor]:
    """Check what a method's ``loss`` returned. This never waits for the device.

    Args:
        method: the method.
        terms: what its ``loss`` returned.

    Returns:
        The same terms.

    Raises:
        ConfigurationError: they are no dict with ``"loss"``, or one is no tensor of a single
            floating-point value.
    """
    name = type(method).__name__
    if not isinstance(terms, Mapping):
        raise ConfigurationError(f"{CONTRACT}; {name}'s returns a {type(terms).__name__}")
    if "loss" not in terms:
        raise ConfigurationError(f"{CONTRACT}; {name}'s returns one with {sorted(map(str, terms))}")
    for key, value in terms.items():
        if not isinstance(value, Tensor):
            found = f"a {type(value).__name__}"
        elif value.numel() != 1:
            found = f"a tensor of shape {list(value.shape)}"
        elif not value.is_floating_point():
            found = f"a tensor of {value.dtype}"
        else:
            continue
        raise ConfigurationError(
            f"{CONTRACT}, and every value must be a float tensor with one element; {key!r} of "
            f"{name}'s is {found}"
        )
    return terms
