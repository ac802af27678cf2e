"""Trainers that say nothing and leave nothing behind."""

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
