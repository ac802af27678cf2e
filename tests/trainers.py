"""Trainers that say nothing and leave nothing behind, and the environment of those of a group."""

from typing import Any

from pytorch_lightning import Trainer


def quiet(**options: Any) -> Trainer:
    """Make one on CPUs."""
    settings = {
        "accelerator": "cpu",
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
    }
    return Trainer(**settings | options)


def torchrun_environment(rank: int, world_size: int) -> dict[str, str]:
    """Give the variables that torchrun sets for a process on one machine."""
    return {
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "GROUP_RANK": "0",
        "WORLD_SIZE": str(world_size),
        "LOCAL_WORLD_SIZE": str(world_size),
        "TORCHELASTIC_RUN_ID": "none",
    }
