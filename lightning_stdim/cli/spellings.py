"""Other spellings of options: those of other commands, and methods by their names."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterator, Mapping, Sequence

from lightning_stdim.catalogue import METHODS, WITH_MODEL
from lightning_stdim.errors import ConfigurationError
from lightning_stdim.presets import method_files
from lightning_stdim.utils.user_code import dotted

OF_FIT = {
    "seed": "seed_everything",
    **{
        name: f"data.{name}"
        for name in (
            "game",
            "root",
            "workers",
            "policy",
            "epsilon",
            "greedy",
            "pixels",
            "mode",
            "difficulty",
            "environment",
            "label_set",
        )
    },
}
"""Options of ``collect`` and ``probe``, and what LightningCLI's commands call them."""

FORMER = {"into": "out"}
"""Options that had another name in older versions, and their names now."""


def for_model_command(argv: Sequence[str], preset: str | None) -> list[str]:
    """Spell a command line as LightningCLI's parser expects it.

    Args:
        argv: the command and its options. ``--game`` may stand for ``--data.game``, and likewise
            for the others of :data:`OF_FIT`. ``--model`` may be the name of a method of the
            catalogue, or a class with a colon before its name.
        preset: the preset that the command starts from, which may hold settings for the method;
            None for none.

    Returns:
        The same. The name of a method has become the files that configure it.

    Raises:
        ConfigurationError: the model is neither a method with a model nor a class.
    """
    words: list[str] = []
    for option, value in _options(_renamed(argv, OF_FIT)):
        if option == "--model" and value is not None:
            words += _model(value, preset)
        else:
            words += [option] if value is None else [f"{option}={value}"]
    return words


def for_plain_command(argv: Sequence[str], known: Collection[str]) -> list[str]:
    """Spell the options of a plain command as that command does.

    Args:
        argv: options. ``--data.game`` may stand for ``--game``, and likewise for the others of
            :data:`OF_FIT`.
        known: names of the command's own options.

    Returns:
        The same in the command's words.
    """
    others = {theirs: own for own, theirs in OF_FIT.items()} | FORMER
    return _renamed(argv, {name: own for name, own in others.items() if own in known})


def _renamed(argv: Sequence[str], names: Mapping[str, str]) -> list[str]:
    words = []
    for word in argv:
        option, equals, value = word.partition("=")
        if option.startswith("--") and option[2:] in names:
            word = f"--{names[option[2:]]}{equals}{value}"
        words.append(word)
    return words


def _options(argv: Sequence[str]) -> Iterator[tuple[str, str | None]]:
    """Split off the value of ``--model``, which may be the next word; leave the rest alone."""
    following = iter(argv)
    for word in following:
        option, equals, value = word.partition("=")
        if option != "--model":
            yield word, None
        else:
            yield option, value if equals else next(following, None)


def _model(name: str, preset: str | None) -> list[str]:
    if name in WITH_MODEL:
        return [f"--config={path}" for path in method_files(name, preset)]
    if name in METHODS:
        raise ConfigurationError(
            f"{name} has no model to train; score it with: probe --encoder {name}"
        )
    classes = {str(one.class_path).rpartition(".")[2] for one in METHODS.values() if one.has_model}
    if re.fullmatch(r"[\w-]+", name) and name not in classes:
        near = difflib.get_close_matches(name, [*WITH_MODEL, *sorted(classes)], n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(WITH_MODEL)}."
        raise ConfigurationError(
            f"unknown model {name!r}; {hint} A class of your own needs its module: "
            "my_module.MyMethod"
        )
    return [f"--model={dotted(name)}"]
