"""The command line: choosing the command, and printing errors.

Only what the chosen command needs is imported: ``--help`` and ``collect`` never import PyTorch.
"""

from __future__ import annotations

import re
import shlex
import sys
from argparse import ArgumentError
from collections.abc import Sequence
from importlib import import_module

from lightning_stdim._version import __version__
from lightning_stdim.cli.streams import forgiving_output
from lightning_stdim.errors import LightningStdimError
from lightning_stdim.torch_environment import set_environment
from lightning_stdim.utils.signals import terminated_as_interrupted

PROGRAM = "python -m lightning_stdim"

MODEL_COMMANDS = {
    "fit": "pretrain an encoder and probe it; without further options ST-DIM on Pong",
    "validate": "compute the validation loss of a checkpoint",
    "test": "compute a checkpoint's loss on unseen episodes and probe its encoder",
    "predict": "encode the probe frames with a checkpoint's encoder and store the features",
}
PLAIN_COMMANDS = {
    "collect": "play a game and store frames, RAM and labels in one HDF5 file",
    "describe": "summarise files of collected frames: episodes, returns, duplicates, labels",
    "export": "convert a file of collected frames for Minari, NumPy or Parquet",
    "probe": "score an encoder: a checkpoint, 'random', 'majority' or your my_module.MyEncoder",
    "curve": "draw F1 against optimiser steps from the snapshots of fit --snapshots",
    "benchmark": "run every game with every method and seed, then write the report",
    "report": "compare finished runs with published results: a page, tables and plots",
    "train-policy": "train a PPO agent that can play for collect (needs the extra 'agents')",
    "list": "print the methods, games, labels and presets that ship",
}
MODULES = {
    "collect": "collections",
    "describe": "collections",
    "export": "collections",
    "probe": "probe",
    "curve": "curve",
    "benchmark": "benchmark",
    "report": "benchmark",
    "train-policy": "train_policy",
    "list": "listing",
    "check": "check",  # for benchmark, not for users
}
"""The module of each plain command; it has a function with the command's name."""
GO_ON = {"collect", "curve", "benchmark", "train-policy"}
"""The plain commands that go on where they were interrupted when they are given again."""

_WORDING = (
    (r'^Parser key "(.+?)": ', r"--\1: "),
    (r"(arguments are required: )(?:fit|validate|test|predict)\.", r"\1--"),
    (r"<class '(?:\w+\.)*(\w+)'>", r"\1"),
    (r"(- )?Does not validate against .+? Errors: ", ""),
    (r" - Expected a NoneType", ""),
    (r" Given value type: .+ Given value: NestedArg.+", ""),
    (r" Given value type: .+ Given value: ", ". Got value: "),
    (r"Expected a typing\.Literal\[(.+?)\]", r"expected one of \1"),
    (r"Expected a ", "expected "),
    (r": - ", ": "),
)
"""Patterns in jsonargparse's messages, and what to put in their place: fewer of Python's terms."""


def usage() -> str:
    """Write the overview of the commands.

    Returns:
        The text of ``--help``.
    """
    lines = [f"usage: {PROGRAM} COMMAND [options]", ""]
    lines += [f"  {name:12} {what}" for name, what in {**MODEL_COMMANDS, **PLAIN_COMMANDS}.items()]
    lines += [
        "",
        "help COMMAND prints a command's options, list what can be named, --version the versions",
    ]
    return "\n".join(lines)


def versions() -> str:
    """Name the versions of the package and of what its results depend on most.

    Returns:
        The text of ``--version``.
    """
    from lightning_stdim.runs.environment import environment

    found = environment()
    packages = {name: found["packages"][name] for name in ("torch", "pytorch-lightning", "ale-py")}
    packages["Python"] = found["python"]
    commit = f" ({found['commit']})" if found["commit"] else ""
    others = ", ".join(f"{name} {version or 'missing'}" for name, version in packages.items())
    return f"lightning-stdim {__version__}{commit}\n{others}"


@forgiving_output()
def main(args: Sequence[str] | None = None) -> int:
    """Run a command.

    Args:
        args: the command and its options; ``sys.argv[1:]`` by default.

    Returns:
        The exit status: 0 for success; 1 if a run of a benchmark failed; 2 after a message that
        says what is wrong; 130 if interrupted.
    """
    argv = list(sys.argv[1:] if args is None else args)
    # A benchmark's runs inherit its environment, and may be executed on other machines.
    set_environment(threads=argv[:1] != ["benchmark"])
    if argv[:1] == ["help"]:  # help COMMAND is COMMAND --help, and help alone is --help
        argv = [*argv[1:2], "--help"]
    if not argv or argv[0] in ("-h", "--help", "help"):
        print(usage())
        return 0 if argv else 2
    if argv[0] == "--version":
        print(versions())
        return 0
    command = argv[0]
    try:
        if command in MODEL_COMMANDS:
            from lightning_stdim.cli.fit import run as run_model_command

            return run_model_command(argv, program=PROGRAM)
        if command in MODULES:
            from lightning_stdim.cli.arguments import run

            module = import_module(f"{__name__}.{MODULES[command]}")
            with terminated_as_interrupted():
                return run(getattr(module, command.replace("-", "_")), argv, program=PROGRAM)
    except ArgumentError as error:
        print(f"error: {reason(error)}; see `{PROGRAM} {command} --help`", file=sys.stderr)
        return 2
    except LightningStdimError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt as interrupt:
        done = "what is done is kept; to go on" if command in GO_ON else "to start again"
        words = f"interrupted; {done}: {PROGRAM} {shlex.join(argv)}"
        print(str(interrupt) or words, file=sys.stderr)
        return 130
    import difflib

    known = [*MODEL_COMMANDS, *PLAIN_COMMANDS]
    near = difflib.get_close_matches(command, known, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"the commands are {', '.join(known)}"
    print(f"error: unknown command {command!r}; {hint}", file=sys.stderr)
    return 2


def reason(error: ArgumentError) -> str:
    """Say in one line what is wrong with an option.

    Args:
        error: what a parser raised.

    Returns:
        Its message, with fewer of Python's terms.
    """
    said = " ".join(str(error).split())
    for theirs, ours in _WORDING:
        said = re.sub(theirs, ours, said)
    return said
