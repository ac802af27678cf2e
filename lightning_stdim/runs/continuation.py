"""Checks that a command goes on with what the checkpoint that it names was made with."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pytorch_lightning import LightningModule

from lightning_stdim.errors import ConfigurationError

_OTHERWISE = "give that, or start another run without --ckpt_path"


def check_same_model(checkpoint: Mapping[str, Any], model: LightningModule) -> None:
    """Refuse a model of another class than the checkpoint's, or with other arguments.

    Args:
        checkpoint: the contents of a checkpoint. What it does not hold is not checked: it may come
            from an older version or from a script.
        model: the model that the command has made.

    Raises:
        ConfigurationError: the class or an argument differs.
    """
    had = checkpoint.get("hyper_parameters", {})
    path, name = had.get("_class_path", ""), type(model).__name__
    if path and path.rpartition(".")[2] != name:
        raise ConfigurationError(f"--model {name}, but the checkpoint is of {path}: {_OTHERWISE}")
    for argument, then in had.items():
        now = model.hparams.get(argument, then)
        if not argument.startswith("_") and not same(now, then):
            raise ConfigurationError(
                f"model.{argument}={now}, but the checkpoint's run had {then}: {_OTHERWISE}"
            )


def check_same_settings(run: Mapping[str, Any], asked: Mapping[str, Any]) -> None:
    """Refuse to go on with a run under other settings, which its record would then claim.

    Args:
        run: the run's configuration.
        asked: settings of the command.

    Raises:
        ConfigurationError: one of them differs from the run's. One that the run lacks is ignored.
    """
    for name, now in asked.items():
        if now != (then := run.get(name, now)):
            raise ConfigurationError(f"{name}={now}, but the run has {then}: {_OTHERWISE}")


def same(value: Any, other: Any) -> bool:
    """Tell whether two values are the same, a tuple being as good as a list.

    Args:
        value: plain data.
        other: plain data.

    Returns:
        Whether they are.
    """
    one, two = (json.dumps(given, sort_keys=True, default=str) for given in (value, other))
    return one == two
