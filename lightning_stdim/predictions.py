"""The earlier path of :mod:`lightning_stdim.runs.predictions`."""

from lightning_stdim.runs.predictions import FILE, SHOWN, VALUES, Predictions

__all__ = ["FILE", "SHOWN", "VALUES", "Predictions"]
