"""Lightning's two packages: ours is ``pytorch_lightning``; ``lightning.pytorch`` is its sister."""

from __future__ import annotations

import re
import sys
import warnings
from collections.abc import Callable
from functools import cache, wraps
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning.utilities.model_helpers import _restricted_classmethod

SISTER = "lightning.pytorch"
ADVICE = (
    f"the modules of lightning_stdim are those of pytorch_lightning, not of {SISTER}, and train in "
    "its Trainer alone: write `from pytorch_lightning import Trainer`"
)
_PACKAGES = {"pytorch": "pytorch_lightning", "fabric": "lightning_fabric"}
# Where a dotted path begins, not in the middle of one or of a file's path.
_SISTER_PATH = re.compile(r"(?<![\w./-])lightning\.(pytorch|fabric)\.(?=\w)")


def translate(value: Any) -> Any:
    """Replace paths of the sister package's classes by those of our package.

    Configurations from before this package changed to ``pytorch_lightning`` have such paths, for
    callbacks and the like, and so do many examples.

    Args:
        value: a string, or plain data with strings in it.

    Returns:
        The same with ``pytorch_lightning.`` for ``lightning.pytorch.``, and ``lightning_fabric.``
        for ``lightning.fabric.``.
    """
    if isinstance(value, str):
        return _SISTER_PATH.sub(lambda found: f"{_PACKAGES[found[1]]}.", value)
    if isinstance(value, dict):
        return {key: translate(item) for key, item in value.items()}
    if isinstance(value, list):
        return [translate(item) for item in value]
    return value


class PackageAware:
    """A mixin for modules and data modules that helps users of the sister package.

    A ``Trainer`` of the sister package refuses our modules, since they are none of its own. A
    warning says so as soon as a module is made, and so does the trainer's error. Checkpoints
    written with the sister package load.

    Args:
        *args: arguments of the next class.
        **kwargs: arguments of the next class.
    """

    CHECKPOINT_HYPER_PARAMS_KEY: str

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if sys.modules.get(SISTER):
            _advise()
        super().__init__(*args, **kwargs)

    @_restricted_classmethod  # as in Lightning: calling it on an object is an error
    def load_from_checkpoint(cls, checkpoint_path: Any, *args: Any, **kwargs: Any) -> Any:
        """Load a checkpoint; see Lightning's method of this name.

        Args:
            checkpoint_path: the file.
            *args: as for Lightning's.
            **kwargs: as for Lightning's.

        Returns:
            An object of this class with the weights and hyperparameters of the checkpoint.
        """
        if isinstance(checkpoint_path, str | Path) and Path(checkpoint_path).is_file():
            safely = kwargs.get("weights_only") is not False
            contents = torch.load(checkpoint_path, map_location="cpu", weights_only=safely)
            key = cls.CHECKPOINT_HYPER_PARAMS_KEY
            maker = contents.get(key, {}).get("_instantiator")
            # Lightning's command line names the function that makes the object by its package.
            if maker != translate(maker):
                kwargs["_instantiator"] = translate(maker)
        return super().load_from_checkpoint(  # type: ignore[misc]
            checkpoint_path, *args, **kwargs
        )


@cache  # once a process
def _advise() -> None:
    warnings.warn(f"{SISTER} is imported, but {ADVICE}", stacklevel=4)
    trainer = getattr(sys.modules[SISTER], "Trainer", None)
    for name in ("fit", "validate", "test", "predict") if trainer else ():
        setattr(trainer, name, _with_advice(getattr(trainer, name)))


def _with_advice(method: Callable[..., Any]) -> Callable[..., Any]:
    """Let a method's errors say what is wrong if it was given a module of ours."""

    @wraps(method)
    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            return method(*args, **kwargs)
        except (TypeError, ValueError) as error:
            if any(isinstance(given, PackageAware) for given in (*args, *kwargs.values())):
                error.add_note(ADVICE)
            raise

    return call
