"""Methods that train nothing: the base class of baselines with a frozen encoder."""

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
    """A frozen encoder, left as it was made.

    ``fit`` trains nothing: it saves a checkpoint and probes it, as it does for other methods.

    Args:
        encoder: dotted path of the encoder's class; by default the method's usual encoder.
        encoder_args: keyword arguments of the encoder's class; ``in_channels`` is set to 3 for RGB
            frames unless it is given.
        pixels: pixel format of the frames, ``"luma"`` or ``"rgb"``. On the command line set
            ``--data.pixels`` alone: the model follows it.
    """

    data_stage = "probe"  # without training there is no need to collect frames for it
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
        """Have the trainer skip the training epochs.

        Args:
            stage: the trainer's task: ``"fit"``, ``"validate"``, ``"test"`` or ``"predict"``.

        Raises:
            ConfigurationError: the trainer has several devices.
        """
        if self.trainer.world_size > 1:
            raise ConfigurationError(
                f"{type(self).__name__} has nothing to train on {self.trainer.world_size} "
                "devices: use --trainer.devices 1"
            )
        if stage == "fit":
            self.trainer.fit_loop.max_epochs = 0

    def loss(self, batch: SequenceBatch) -> dict[str, Tensor]:
        """Return zero: there is nothing to minimise."""
        return {"loss": torch.zeros((), device=self.device)}

    def configure_callbacks(self) -> list[Callback]:
        """Return no callbacks: there is no training to stop."""
        return []
