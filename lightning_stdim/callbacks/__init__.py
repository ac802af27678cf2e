"""Lightning callbacks; they read agreed attributes and never touch a method's optimiser."""

if __name__ != "lightning_stdim.callbacks":
    # The checkout's top-level link would make a second copy of every class.
    raise ImportError("import lightning_stdim.callbacks: the top-level callbacks is only a link")

from lightning_stdim.callbacks.compile_loss import CompileLoss
from lightning_stdim.callbacks.epoch_lines import EpochLines
from lightning_stdim.callbacks.finite_loss import FiniteLoss
from lightning_stdim.callbacks.online_probe import OnlineProbe
from lightning_stdim.callbacks.per_variable_early_stopping import PerVariableEarlyStopping
from lightning_stdim.callbacks.per_variable_plateau import PerVariableReduceLROnPlateau
from lightning_stdim.callbacks.reconstructions import Reconstructions
from lightning_stdim.callbacks.representation_health import RepresentationHealth
from lightning_stdim.callbacks.stop_early import StopEarly

__all__ = [
    "CompileLoss",
    "EpochLines",
    "FiniteLoss",
    "OnlineProbe",
    "PerVariableEarlyStopping",
    "PerVariableReduceLROnPlateau",
    "Reconstructions",
    "RepresentationHealth",
    "StopEarly",
]
