"""The processes of a run: one, unless more are asked for, whatever starts it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pydoc import locate
from typing import Any

import torch
from lightning_fabric.plugins import ClusterEnvironment
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from lightning_fabric.plugins.environments.slurm import SLURMEnvironment
from lightning_fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from pytorch_lightning.utilities import rank_zero_only

from lightning_stdim.errors import ConfigurationError

LAUNCHERS = (
    *("RANK", "LOCAL_RANK", "GROUP_RANK", "NODE_RANK", "WORLD_SIZE"),
    *("MASTER_ADDR", "MASTER_PORT", "SLURM_PROCID", "JSM_NAMESPACE_RANK"),
)
"""Environment variables in which Lightning reads what a launcher tells its processes of each
other."""


def become_rank_zero() -> None:
    """Let this process be the only one of its run, although a launcher may have started others.

    ``srun``, ``torchrun`` and the like number their processes, and Lightning takes that number for
    the rank: all but the first write no metrics and say nothing.
    """
    for name in LAUNCHERS:
        os.environ.pop(name, None)
    # Lightning has read the environment when it was imported.
    rank_zero_only.rank = 0  # type: ignore[attr-defined]


def cluster_environment(trainer: Mapping[str, Any]) -> ClusterEnvironment | None:
    """Choose how the processes of a run find each other.

    Lightning would take part in whatever launcher it finds signs of, although a job of Slurm with
    several tasks, say, can be as many runs, or one run and nothing else. So a run of one process
    takes part in nothing, and one of several processes on one machine takes part in a job of Slurm
    only if that has as many tasks. Otherwise Lightning starts the processes itself.

    Slurm's jobs are not put in the queue again by Lightning, which does so at SIGUSR1: the new job
    would not go on in the run's directory.

    Args:
        trainer: options of the trainer, as parsed.

    Returns:
        A plugin for the trainer; None where the options name one, and where Lightning's choice is
        right. If the run is of one process, that is rank 0 from now on.

    Raises:
        ConfigurationError: Slurm's job does not say what Lightning needs to know.
    """
    if _names_environment(trainer):
        return None
    devices, nodes = _count(trainer["devices"], trainer["accelerator"]), trainer["num_nodes"]
    if devices == nodes == 1:
        become_rank_zero()
        return LightningEnvironment()
    if TorchElasticEnvironment.detect() or not SLURMEnvironment.detect():
        return None
    if nodes == 1 and devices != int(os.environ["SLURM_NTASKS"]):
        return LightningEnvironment()
    try:
        return SLURMEnvironment(auto_requeue=False)
    except RuntimeError as error:
        raise ConfigurationError(str(error)) from error


def _names_environment(trainer: Mapping[str, Any]) -> bool:
    """Tell whether the options of a trainer name a cluster's environment."""
    plugins = trainer["plugins"]
    of_strategy = getattr(trainer["strategy"], "init_args", {})
    given = [
        *(plugins if isinstance(plugins, list) else [plugins]),
        of_strategy.get("cluster_environment"),
    ]
    classes = [locate(plugin.class_path) for plugin in given if hasattr(plugin, "class_path")]
    return any(isinstance(kind, type) and issubclass(kind, ClusterEnvironment) for kind in classes)


def _count(devices: int | str | list[int], accelerator: Any) -> int:
    """Count the devices of a machine that a run is to use; 0 if the option makes no sense."""
    if isinstance(devices, list):
        return len(devices)
    if isinstance(devices, str) and "," in devices:
        return len(devices.strip(", ").split(","))
    if devices in ("auto", "-1", -1):
        alone = accelerator == "cpu" or not torch.cuda.is_available()
        return 1 if alone else torch.cuda.device_count()
    return int(devices) if str(devices).isdigit() else 0
