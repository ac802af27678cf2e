"""What PyTorch is told through the environment, which it reads once: before it is imported."""

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
    """Set what is not set yet, and leave threads' waiting to whoever has said anything about it.

    Args:
        threads: also limit the number of threads where this process may use fewer cores than OpenMP
            finds: it knows no quota of a container, no task of Slurm's and no share of a benchmark.
    """
    # Elsewhere PyTorch's own choice is better: a thread for each core that is not a hyperthread.
    if threads and cores() < affinity_cores():
        os.environ.setdefault("OMP_NUM_THREADS", str(cores()))
    for name, value in SETTINGS.items():
        if name != "GOMP_SPINCOUNT" or "OMP_WAIT_POLICY" not in os.environ:
            os.environ.setdefault(name, value)
