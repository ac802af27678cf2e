"""The key of a run that ``fit`` or ``probe`` makes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from lightning_stdim.errors import ConfigurationError
from lightning_stdim.runs.key import Option, RunKey

RUN_KEY = 'an object such as {"options": [["steps", "3000"]], "source": null}'


def method_name(model: object) -> str:
    """Name a model's method.

    Args:
        model: an object of the method's class.

    Returns:
        The class's own ``name``. An inherited name is another method's, so a class without its own
        is called by its dotted path, such as ``"my_module.MyMethod"``.
    """
    cls = type(model)
    own = vars(cls).get("name")
    return own if isinstance(own, str) and own else f"{cls.__module__}.{cls.__qualname__}"


def make_key(
    *,
    game: str,
    method: str,
    seed: int,
    run_key: str | None = None,
    variant: str = "",
    variation: Sequence[Option] = (),
) -> RunKey:
    """Make a run's key.

    Args:
        game: canonical name.
        method: name of the run's method.
        seed: the run's seed.
        run_key: JSON that says what differs from the preset: an object with ``"options"``, a list
            of [name, value], and ``"source"``, the key of the run whose encoder is probed, or null.
            A benchmark sets it.
        variant: what differs, in a person's own words.
        variation: options in which the data differ from the protocol's; used if neither
            ``run_key`` nor ``variant`` is given.

    Returns:
        The key.

    Raises:
        ConfigurationError: ``run_key`` is not of that form.
    """
    options: tuple[Option, ...] = ()
    source = None
    if run_key is not None:
        options, source = _parse(run_key)
    elif not variant:
        options = tuple(variation)
    if variant:
        options += (("", variant),)
    return RunKey(game=game, method=method, seed=seed, options=options, source=source)


def _parse(text: str) -> tuple[tuple[Option, ...], RunKey | None]:
    try:
        data = json.loads(text)
    except ValueError as error:
        raise ConfigurationError(
            f"run_key {text!r} is not JSON ({error}): give {RUN_KEY}"
        ) from error
    problem = _problem(data, required={"options"})
    if problem:
        raise ConfigurationError(f"run_key {text!r}: {problem}; give {RUN_KEY}")
    # The rest of the key is the command's own.
    key = RunKey.from_dict({"game": "", "method": "", "seed": 0, **data})
    return key.options, key.source


def _problem(data: Any, *, required: set[str], where: str = "it") -> str | None:
    """Say what is wrong with a key as plain data; None if nothing is."""
    if not isinstance(data, dict):
        return f"{where} is a {type(data).__name__}, not an object"
    if missing := sorted(required - data.keys()):
        return f"{where} has no {missing[0]!r}"
    if unknown := sorted(data.keys() - required - {"options", "source"}):
        return f"{where} has {unknown[0]!r}, which no key has"
    for name in ("game", "method"):
        if name in required and not isinstance(data[name], str):
            return f"{name} {data[name]!r} of {where} is not a string"
    if "seed" in required and type(data["seed"]) is not int:
        return f"seed {data['seed']!r} of {where} is not a whole number"
    options = data.get("options", [])
    if not isinstance(options, list):
        return f"the options of {where} are not a list"
    for option in options:
        if not isinstance(option, list) or [type(part) for part in option] != [str, str]:
            return f"option {option!r} of {where} is not a list of two strings, [name, value]"
    source = data.get("source")
    if source is None:
        return None
    return _problem(source, required={"game", "method", "seed"}, where="source")
