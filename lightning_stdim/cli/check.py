"""The command ``check``, with which a benchmark tries its runs before it starts the first one."""

from __future__ import annotations

import json
from argparse import ArgumentError
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from lightning_stdim.cli import PROGRAM, reason
from lightning_stdim.cli.arguments import run as run_plain_command
from lightning_stdim.cli.fit import StdimCLI
from lightning_stdim.cli.fit import run as run_model_command
from lightning_stdim.datamodules.collection.settings import CollectionSettings
from lightning_stdim.datamodules.emulator.emulator import Emulator
from lightning_stdim.datamodules.pixels import frame_shape
from lightning_stdim.encoders.undivided import scaling_modules
from lightning_stdim.errors import LightningStdimError
from lightning_stdim.utils.user_code import what_failed


def check(commands: str, *, out: str) -> int:
    """Build what commands need, and try it for a moment, without collecting or training.

    Args:
        commands: JSON file with a list of commands: the arguments of each, for fit or collect.
        out: file to write; it has a line for each command, the JSON of what is wrong with it, or
            null.

    Returns:
        The exit status, 0 whatever is wrong with the commands.
    """
    with Path(out).open("w", encoding="utf-8") as answers:
        for argv in json.loads(Path(commands).read_text("utf-8")):
            print(json.dumps(_problem(argv)), file=answers, flush=True)
    return 0


def _problem(argv: Sequence[str]) -> str | None:
    try:
        if argv[0] == "collect":
            run_plain_command(_play, argv, program=PROGRAM)
        else:
            run_model_command(argv, program=PROGRAM, cli=_Built)
    except ArgumentError as error:
        return reason(error)
    except LightningStdimError as error:
        return str(error)
    except Exception as error:  # whatever a user's code may raise
        return what_failed(error)
    return None


class _Built(StdimCLI):
    """Model, data and trainer, of which ``fit`` has tried the model."""

    def _claim(self) -> None:
        """Write nothing, and so take hold of nothing."""

    def _run_subcommand(self, subcommand: str) -> None:
        if "challenge" in self.protocols and hasattr(self.model, "encoder"):
            scaling_modules(self.model.encoder)
        _play(self.datamodule.collection("probe"))


def _play(settings: CollectionSettings) -> int:
    """Let the policy choose an action."""
    actions = Emulator(settings.game, mode=settings.mode, difficulty=settings.difficulty).n_actions
    policy = settings.policy_settings.load()(actions, np.random.default_rng(0))
    policy(lambda: np.zeros(frame_shape("luma"), np.uint8), True)
    return 0
