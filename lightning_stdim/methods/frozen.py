"""What methods share that have nothing to train."""

from __future__ import annotations

from typing import Any

import torch
from pytorch_lightning import Callback
from torch import Tensor

from lightning_stdim.datamodules.batches import SequenceBatch
from lightning_stdim.datamodules.pixels import Pixels
from lightning_stdim.errors import ConfigurationError
from lightning_stdim.methods.base import SSLMethod


class FrozenMethod(SSLMethod):
    """An encoder as it is.

    ``fit`` trains nothing: it saves the checkpoint and probes it, like every other method.

    Args:
        encoder: dotted path of the backbone's class; by default the method's own choice.
        encoder_args: its keyword arguments.
        pixels: as for :class:`SSLMethod`.
    """

    data_stage = "probe"  # no pair is ever drawn, so none need be collected
    monitor = None

    def __init__(
        self,
        *,
        encoder: str | None = None,
        encoder_args: dict[str, Any] | None = None,
        pixels: Pixels = "luma",
    ) -> None:
        super().__init__(encoder=encoder, encoder_args=encoder_args, pixels=pixels)
        self.requires_grad_(False)

    def setup(self, stage: str) -> None:
        """Tell the trainer that there is nothing to train.

        Args:
            stage: what the trainer is to do.

        Raises:
            ConfigurationError: there are several devices, which could only train.
        """
        if self.trainer.world_size > 1:
            raise ConfigurationError(
                f"{type(self).__name__} has nothing to train on {self.trainer.world_size} "
                "devices: use --trainer.devices 1"
            )
        if stage == "fit":
            self.trainer.fit_loop.max_epochs = 0

    def loss(self, batch: SequenceBatch) -> dict[str, Tensor]:
        """Return the constant zero: there is no objective."""
        return {"loss": torch.zeros((), device=self.device)}

    def configure_callbacks(self) -> list[Callback]:
        """Add none: there is no training to stop."""
        return []
