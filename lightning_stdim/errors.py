"""Errors whose messages are written for the user.

The command line prints the message alone, without a traceback, and exits with status 2.
"""


class LightningStdimError(Exception):
    """Base class of this package's errors; a message names the value, the limit and what to do."""


class ConfigurationError(LightningStdimError, ValueError):
    """An argument is wrong, or arguments do not fit together."""


class StoreError(LightningStdimError, RuntimeError):
    """A file of frames or results, or its folder, cannot be read or written."""


class EncoderError(LightningStdimError, TypeError):
    """An encoder or a checkpoint is not of the kind that is needed."""


class TrainingError(LightningStdimError, RuntimeError):
    """Training has failed in a way that should not go unnoticed, such as by an infinite loss."""
