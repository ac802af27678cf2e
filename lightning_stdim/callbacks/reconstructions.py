"""Pictures of the frames that a method with a decoder makes."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
import torch
import torch.nn.functional as F
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.loggers import TensorBoardLogger
from torch import Tensor

from lightning_stdim.callbacks.units import scored_epoch
from lightning_stdim.datamodules.batches import SequenceBatch
from lightning_stdim.errors import ConfigurationError
from lightning_stdim.utils.files import atomically

GAP = 2
"""Number of white pixels between frames."""


@runtime_checkable
class Reconstructs(Protocol):
    """A method that reconstructs or predicts frames."""

    def reconstruct(self, batch: SequenceBatch) -> tuple[Tensor, Tensor]:
        """Make frames, deterministically.

        Args:
            batch: samples as the method's loss takes them, without ``same_episode_frames``.

        Returns:
            The target frames and the frames that the method makes, float [B, C, H, W] each, values
            0 to 1.
        """


class Reconstructions(Callback):
    """Draw the first validation samples: the target frames in the top row, the method's below.

    If the encoder takes several stacked frames, the newest one is drawn. The picture of epoch k is
    ``reconstructions/epoch-<k>.png`` in the trainer's ``default_root_dir``, and the image
    ``reconstructions`` in TensorBoard if the trainer logs to it.

    Args:
        every_n_epochs: draw after every n-th epoch, n at least 1.
        samples: number of samples to draw, at least 1; at most as many as the first batch has.

    Raises:
        ConfigurationError: a value is out of its range.
    """

    def __init__(self, every_n_epochs: int = 1, samples: int = 8) -> None:
        if every_n_epochs < 1 or samples < 1:
            raise ConfigurationError(
                f"every_n_epochs={every_n_epochs} and samples={samples} must both be at least 1"
            )
        self.every_n_epochs = every_n_epochs
        self.samples = samples

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Refuse a method that makes no frames.

        Args:
            trainer: unused.
            pl_module: the method.
            stage: unused.

        Raises:
            ConfigurationError: the method has no ``reconstruct``.
        """
        if not isinstance(pl_module, Reconstructs):
            raise ConfigurationError(
                f"{type(pl_module).__name__} has no reconstruct(batch): leave out Reconstructions"
            )

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: object,
        batch: SequenceBatch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Draw the first validation batch of an epoch."""
        epoch = trainer.current_epoch + 1
        due = batch_idx == 0 and epoch % self.every_n_epochs == 0 and scored_epoch(trainer)
        if not (due and trainer.is_global_zero):
            return
        from matplotlib.image import imsave

        assert isinstance(pl_module, Reconstructs)
        shown = SequenceBatch(batch.frames[:, : self.samples], batch.anchors[: self.samples])
        channels = getattr(pl_module, "channels", 1)
        picture = _picture(*pl_module.reconstruct(shown), channels)
        folder = Path(trainer.default_root_dir) / "reconstructions"
        with atomically(folder / f"epoch-{epoch:03}.png", durable=False) as temporary:
            imsave(temporary, picture, format="png")
        for logger in trainer.loggers:
            if isinstance(logger, TensorBoardLogger):
                logger.experiment.add_image(
                    "reconstructions", picture, trainer.global_step, dataformats="HWC"
                )


def _picture(target: Tensor, made: Tensor, channels: int) -> np.ndarray:
    """Lay out the target frames above the made ones: uint8 [height, width, 3]."""
    rows = torch.stack([target, made])[:, :, -channels:].float().cpu()  # [2, B, 1 or 3, H, W]
    rows = F.pad((255 * rows).round(), (0, GAP, 0, GAP), value=255)
    colours = rows.permute(0, 3, 1, 4, 2).flatten(0, 1).flatten(1, 2)[:-GAP, :-GAP]
    return colours.byte().expand(-1, -1, 3).numpy()
