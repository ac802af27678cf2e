"""Environment variables for PyTorch, which reads them only once, when it is imported."""

from __future__ import annotations

import os

from lightning_stdim.utils.hardware import affinity_cores, cores

SETTINGS = {
    # Large pages for tensors: training steps on a CPU take up to a tenth less.
    "THP_MEM_ALLOC_ENABLE": "1",
    # Threads that wait for each other spin a moment, then sleep. GNU's OpenMP, which PyTorch has on
    # Linux, spins 300 times as long: where other work has taken a core, that takes the rest of it
    # (benchmarks/busy_cores.py).
    "GOMP_SPINCOUNT": "1000",
}


def set_environment(*, threads: bool = True) -> None:
    """Set the variables that are not set yet.

    How long threads spin is left alone if the user has set anything about how they wait.

    Args:
        threads: limit the number of threads, too, if this process may use fewer cores than OpenMP
            would find. OpenMP does not know the quota of a container, the cores of a Slurm task or
            the share of a benchmark's run.
    """
    # Otherwise PyTorch's own choice is better: one thread for every physical core.
    if threads and cores() < affinity_cores():
        os.environ.setdefault("OMP_NUM_THREADS", str(cores()))
    for name, value in SETTINGS.items():
        if name != "GOMP_SPINCOUNT" or "OMP_WAIT_POLICY" not in os.environ:
            os.environ.setdefault(name, value)
