"""Functions as commands: options and ``--help`` come from a function's signature and docstring."""

from __future__ import annotations

import shlex
from argparse import ArgumentError
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from inspect import Parameter, signature
from itertools import pairwise
from typing import Any, get_type_hints

import docstring_parser
from docstring_parser import Docstring
from jsonargparse import ArgumentParser

from lightning_stdim.cli.spellings import for_plain_command
from lightning_stdim.utils.checks import not_empty

BOOLEANS = ("true", "false", "yes", "no")

Command = Callable[..., int]
"""A function that takes options by keyword and returns an exit status. If it has a parameter
``command_line``, it is given the command line that it was called with, to record it."""


def run(command: Command, argv: Sequence[str], *, program: str) -> int:
    """Parse a command line and run the command.

    Args:
        command: what to run. A parameter that is not keyword-only is a positional argument; one of
            type ``list[str]`` takes one value or more; and every field of a parameter whose type is
            a dataclass is an option.
        argv: the command's name and its options.
        program: what comes before them on a command line.

    Returns:
        The exit status.

    Raises:
        ArgumentError: an option is unknown, missing, or has a wrong value.
        ConfigurationError: the path to write to is empty.
    """
    parameters = signature(command).parameters
    said = docstring_parser.parse(command.__doc__ or "")
    parser = _parser(command, said, f"{program} {argv[0]}")
    settings_of = _dataclasses(command)
    own = {*parameters, *(f.name for settings in settings_of.values() for f in fields(settings))}
    words = for_plain_command(argv[1:], own)
    try:
        arguments = parser.parse_args(_with_values(words, command))
    except ArgumentError as error:
        if not (missing := _missing(error, parameters)):
            raise
        raise ArgumentError(None, f"{argv[0]} needs {missing}; {_example(said)}") from error
    options = parser.instantiate_classes(arguments).as_dict()
    given = {name: value for name, value in options.items() if name in parameters}
    for name, settings in settings_of.items():
        given[name] = settings(**{field.name: options[field.name] for field in fields(settings)})
    not_empty("out", given.get("out"))
    if "command_line" in parameters:
        given["command_line"] = f"{program} {shlex.join(argv)}"
    return command(**given)


def _parser(command: Command, said: Docstring, prog: str) -> ArgumentParser:
    text = "\n\n".join(filter(None, (said.short_description, said.long_description)))
    parser = ArgumentParser(prog=prog, description=text, epilog=_example(said), exit_on_error=False)
    parser.add_argument("--config", action="config", help="YAML file with values for the options")
    parameters = signature(command).parameters.values()
    several = [p.name for p in parameters if _takes_several(p)]
    helps = {param.arg_name: param.description for param in said.params}
    for parameter in several:
        parser.add_argument(parameter, nargs="+", type=str, help=helps[parameter])
    optional = [p.name for p in parameters if p.kind != p.KEYWORD_ONLY and p.default is not p.empty]
    for parameter in optional:
        hint = get_type_hints(command)[parameter]
        parser.add_argument(parameter, nargs="?", type=hint, help=helps[parameter])
    flat = _dataclasses(command)
    for settings in flat.values():
        parser.add_class_arguments(settings, as_group=False)
    parser.add_function_arguments(
        command,
        as_group=False,
        as_positional=True,
        skip={*several, *optional, *flat, "command_line"},
    )
    return parser


def _example(said: Docstring) -> str:
    """Write the example of a command's docstring as a half-sentence; empty without one."""
    return f"for example: {said.examples[0].description}" if said.examples else ""


def _missing(error: ArgumentError, parameters: Mapping[str, Parameter]) -> str:
    """Name the required arguments that an error says are missing; empty for another error."""
    _, found, names = str(error).partition("arguments are required: ")
    if not found:
        return ""
    positional = {p.name: p.name.upper() for p in parameters.values() if p.kind != p.KEYWORD_ONLY}
    return ", ".join(positional.get(name, f"--{name}") for name in names.split(", "))


def _takes_several(parameter: Parameter) -> bool:
    # Annotations are strings here: `from __future__ import annotations`.
    return parameter.annotation == "list[str]" and parameter.default is Parameter.empty


def _dataclasses(command: Command) -> dict[str, Any]:
    """Find the parameters whose types are dataclasses."""
    hints = get_type_hints(command)
    hints.pop("return", None)
    return {name: hint for name, hint in hints.items() if is_dataclass(hint)}


def _with_values(options: Sequence[str], command: Command) -> list[str]:
    """Write a switch such as ``--estimate`` as ``--estimate true``, as jsonargparse expects it."""
    functions = [command, *_dataclasses(command).values()]
    parameters = [p for function in functions for p in signature(function).parameters.values()]
    switches = {f"--{p.name}" for p in parameters if isinstance(p.default, bool)}
    words = []
    for word, following in pairwise([*options, ""]):
        alone = word in switches and following.lower() not in BOOLEANS
        words += [word, "true"] if alone else [word]
    return words
