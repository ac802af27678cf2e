"""The earlier path of :mod:`lightning_stdim.runs.results`."""

from lightning_stdim.runs.results import (
    FILE,
    Results,
    is_complete,
    read_results,
    write_results,
)

__all__ = ["FILE", "Results", "is_complete", "read_results", "write_results"]
