"""Lightning callbacks; they read agreed attributes and never touch a method's optimiser."""

if __name__ != "lightning_stdim.callbacks":
    # The checkout's top-level link would make a second copy of every class.
    raise ImportError("import lightning_stdim.callbacks: the top-level callbacks is only a link")

from lightning_stdim.callbacks.epoch_lines import EpochLines
from lightning_stdim.callbacks.per_variable_early_stopping import PerVariableEarlyStopping
from lightning_stdim.callbacks.per_variable_plateau import PerVariableReduceLROnPlateau
from lightning_stdim.callbacks.reconstructions import Reconstructions

__all__ = [
    "EpochLines",
    "PerVariableEarlyStopping",
    "PerVariableReduceLROnPlateau",
    "Reconstructions",
]
