"""Errors whose message is meant for the user.

The command line prints such a message alone, without a traceback, and exits with status 2.
"""


class LightningStdimError(Exception):
    """Base class: the message names the value, the limit and what to do."""


class ConfigurationError(LightningStdimError, ValueError):
    """An argument is wrong or arguments do not fit together."""


class StoreError(LightningStdimError, RuntimeError):
    """A file that a command reads or writes (frames, results), or its folder, is not usable."""


class EncoderError(LightningStdimError, TypeError):
    """An encoder or a checkpoint is not of the kind that is needed here."""


class TrainingError(LightningStdimError, RuntimeError):
    """Training went wrong in a way that going on would hide, such as a loss that is not finite."""
