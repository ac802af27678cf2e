"""Warnings and errors of Lightning, jsonargparse and PyTorch, turned into what helps a user."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from lightning_fabric.utilities.exceptions import MisconfigurationException
from pytorch_lightning.utilities.exceptions import SIGTERMException

from lightning_stdim.errors import (
    ConfigurationError,
    EncoderError,
    LightningStdimError,
    StoreError,
    TrainingError,
)
from lightning_stdim.utils.signals import terminated_as_interrupted
from lightning_stdim.utils.user_code import what_failed

UNHELPFUL = (
    # Lightning 2.6 calls functions that PyTorch 2.13 and jsonargparse 4.49 deprecate.
    r".*isinstance\(treespec, LeafSpec\)",
    r".*functional\.all_gather is deprecated",
    # Some methods have nothing to train, on purpose.
    ".*configure_optimizers` returned `None`",
    # Index batches need no worker processes: the frames are in memory already.
    ".*does not have many workers",
    # A resumed run's directory is expected to exist.
    "Checkpoint directory .* exists and is not empty",
    # A command that goes on with a run makes its callbacks again; those of training serve no test.
    "Be aware that when using `ckpt_path`",
    # A run that has been moved: RunCheckpoint restores what Lightning says is lost.
    "The dirpath has changed from",
    # A run of one process is no task of Slurm's.
    "The `srun` command is available on your system but is not used",
    # The command line is handed on to Lightning, which may also read it by itself.
    "LightningCLI's args parameter",
)


def ignore_unhelpful_warnings() -> None:
    """Silence warnings that no user can act on."""
    for message in UNHELPFUL:
        warnings.filterwarnings("ignore", message)
    # Advertisements of Lightning's cloud services.
    rank_zero = logging.getLogger("pytorch_lightning.utilities.rank_zero")
    rank_zero.addFilter(lambda record: "Tip: For seamless" not in record.getMessage())


@contextmanager
def as_our_errors() -> Iterator[None]:
    """Turn errors that the libraries raise into our errors, with one message for the user.

    Yields:
        Nothing.

    Raises:
        LightningStdimError: instead of an error that the user can do something about.
    """
    try:
        yield
    except MisconfigurationException as error:
        raise ConfigurationError(str(error)) from error
    except ValueError as error:  # how jsonargparse wraps what a model's __init__ raises
        if isinstance(error, LightningStdimError):
            raise
        causes: list[BaseException] = [error]
        while cause := causes[-1].__cause__ or causes[-1].__context__:
            causes.append(cause)
            if isinstance(cause, LightningStdimError):
                raise cause from None
        if isinstance(causes[-1], Exception) and "Does not validate" in str(error):
            raise ConfigurationError(
                f"a class that the options name cannot be made: {what_failed(causes[-1])}"
            ) from error
        raise
    except torch.OutOfMemoryError as error:
        raise TrainingError(f"out of memory: {error}; try a smaller --data.batch_size") from error
    except RuntimeError as error:
        if "loading state_dict" not in str(error):
            raise
        raise EncoderError(
            f"the checkpoint does not fit the model and the data: {error}; use the model and the "
            "--data options that it was trained with"
        ) from error
    except OSError as error:
        raise StoreError(f"cannot read or write: {error}") from error


@contextmanager
def interrupted_with(words: str) -> Iterator[None]:
    """Say after an interruption, also by SIGTERM, what is kept, and how to go on.

    Args:
        words: what is said, unless the interruption comes with words of its own.

    Yields:
        Nothing.

    Raises:
        KeyboardInterrupt: when interrupted, with the words.
    """
    try:
        with terminated_as_interrupted():
            yield
    except KeyboardInterrupt as interrupt:
        raise KeyboardInterrupt(str(interrupt) or f"interrupted; {words}") from None
    except SystemExit as end:  # Lightning exits so, without a word
        by_signal = isinstance(end, SIGTERMException)
        if not by_signal and not isinstance(end.__context__, KeyboardInterrupt):
            raise
        raise KeyboardInterrupt(f"interrupted; {words}") from None
