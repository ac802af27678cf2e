"""Lightning callbacks: early stopping, learning rates, snapshots, health and pictures."""

if __name__ != "lightning_stdim.callbacks":
    # The checkout's top-level link would make a second copy of every class.
    raise ImportError("import lightning_stdim.callbacks: the top-level callbacks is only a link")

from importlib import import_module
from typing import Any

from lightning_stdim.callbacks.compile_loss import CompileLoss
from lightning_stdim.callbacks.dead_units import DeadUnits
from lightning_stdim.callbacks.epoch_summary import PrintEpochSummary
from lightning_stdim.callbacks.exact_resume import ExactResume
from lightning_stdim.callbacks.reconstructions import Reconstructions
from lightning_stdim.callbacks.representation_health import RepresentationHealth
from lightning_stdim.callbacks.snapshots import Snapshots
from lightning_stdim.callbacks.step_timer import StepTimer
from lightning_stdim.callbacks.stopping import RaiseOnNonFiniteLoss, ResumableEarlyStopping
from lightning_stdim.callbacks.units import PerVariableEarlyStopping, PerVariableReduceLROnPlateau

__all__ = [
    "CompileLoss",
    "DeadUnits",
    "ExactResume",
    "PerVariableEarlyStopping",
    "PerVariableReduceLROnPlateau",
    "PrintEpochSummary",
    "RaiseOnNonFiniteLoss",
    "Reconstructions",
    "RepresentationHealth",
    "ResumableEarlyStopping",
    "Snapshots",
    "StepTimer",
]


def __getattr__(name: str) -> Any:
    if name == "OnlineProbe":  # its old place: now it lives with the probes, which it uses
        return import_module("lightning_stdim.probes.online").OnlineProbe
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
