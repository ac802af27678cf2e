"""What every self-supervised method shares: encoder, objective, steps, optimiser."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar, Literal

import torch
from pytorch_lightning import Callback, LightningModule
from torch import Tensor

from lightning_stdim.callbacks import RaiseOnNonFiniteLoss, ResumableEarlyStopping
from lightning_stdim.datamodules.batches import ProbeBatch, SequenceBatch
from lightning_stdim.datamodules.pixels import CHANNELS, Pixels
from lightning_stdim.encoders import DEFAULT_ENCODER, build_encoder, frame_stack, with_channels
from lightning_stdim.utils.epoch_means import EpochMeans
from lightning_stdim.utils.lightning_package import PackageAware
from lightning_stdim.utils.optimisation import check_optimisation


class SSLMethod(PackageAware, LightningModule):
    """A self-supervised method: an encoder and a loss over consecutive frames.

    A new method subclasses this, makes its objective in ``__init__`` and overrides :meth:`loss`;
    all else is inherited. What :meth:`loss` returns is logged as means over the epoch, under
    ``train/``, ``val/`` and ``test/``. Hyperparameters are plain, for ``weights_only=True``.

    Args:
        encoder: dotted path of the backbone's class; by default the method's own choice.
        encoder_args: its keyword arguments; ``in_channels`` is 3 by default where frames are RGB.
        pixels: of the frames, ``"luma"`` or ``"rgb"``; on the command line those of the data.
        lr: Adam's learning rate.
        eps: Adam's epsilon.
        patience: epochs without a better :attr:`monitor` after which training stops.

    Raises:
        ConfigurationError: a value is out of its range.
    """

    name: ClassVar[str | None] = None
    """What results call the method; the dotted path of a class that sets none of its own."""
    data_stage: ClassVar[Literal["pretrain", "probe"]] = "pretrain"
    default_encoder: ClassVar[str] = DEFAULT_ENCODER
    """The backbone, unless another one is given."""
    sequence_length: int = 2
    """Observations per sample, T: what the data module is asked for, as are the next two."""
    batch_size: int = 64
    """Samples of the global batch."""
    needs_same_episode_frames: bool = False
    """Whether batches hold another observation of each anchor's episode."""
    monitor: ClassVar[str | None] = "val/loss"
    """Its minimum decides on best checkpoint and early stopping; None: train to the last epoch."""

    def __init__(
        self,
        *,
        encoder: str | None = None,
        encoder_args: dict[str, Any] | None = None,
        pixels: Pixels = "luma",
        lr: float = 3e-4,
        eps: float = 1e-5,
        patience: int = 15,
    ) -> None:
        super().__init__()
        check_optimisation(lr=lr, patience=patience)
        self.save_hyperparameters()
        encoder = encoder or self.default_encoder  # a checkpoint names what it was made with
        encoder_args = with_channels(encoder, encoder_args, pixels)
        self.hparams.update(encoder=encoder, encoder_args=encoder_args)
        self.encoder = build_encoder(encoder, encoder_args)
        self.pixels, self.channels = pixels, CHANNELS[pixels]  # of a frame
        self.frame_stack = frame_stack(self.encoder, self.channels)
        self.lr, self.eps, self.patience = lr, eps, patience
        self._means = {stage: EpochMeans() for stage in ("train", "val", "test")}

    def forward(self, frames: Tensor) -> Tensor:
        """Encode observations: uint8 [B, C, 210, 160] -> float [B, D]."""
        return self.encoder(frames)  # type: ignore[no-any-return]

    @abstractmethod
    def loss(self, batch: SequenceBatch) -> dict[str, Tensor]:
        """Compute the objective.

        Args:
            batch: consecutive frames; see :class:`SequenceBatch` for shapes.

        Returns:
            ``"loss"``, float [], to be minimised, and any further terms to log.
        """

    def training_step(self, batch: SequenceBatch, batch_idx: int) -> Tensor:
        """Run Lightning's training step."""
        return self._step("train", batch, batch_idx)

    def validation_step(self, batch: SequenceBatch, batch_idx: int) -> None:
        """Run Lightning's validation step."""
        self._step("val", batch, batch_idx)

    def test_step(self, batch: SequenceBatch, batch_idx: int) -> None:
        """Run Lightning's test step, on episodes of the probe collection."""
        self._step("test", batch, batch_idx)

    def predict_step(self, batch: ProbeBatch, batch_idx: int) -> Tensor:
        """Encode a batch of probe frames."""
        return self(batch.frames)  # type: ignore[no-any-return]

    def _step(self, stage: str, batch: SequenceBatch, batch_idx: int) -> Tensor:
        terms = self.loss(batch)
        named = {f"{stage}/{name}": value for name, value in terms.items()}
        samples = len(batch[1])  # anchors, or the labels of a method that does not pretrain
        self._means[stage].update(self, named, batch_idx=batch_idx, weight=samples)
        return terms["loss"]

    def configure_callbacks(self) -> list[Callback]:
        """Stop early, as the protocol does, unless there is nothing to go by."""
        stop = [ResumableEarlyStopping(self.monitor, self.patience)] if self.monitor else []
        return [RaiseOnNonFiniteLoss(), *stop]

    def configure_optimizers(self) -> torch.optim.Optimizer | None:
        """Make Adam over all parameters that require a gradient; none if there are none."""
        trainable = [parameter for parameter in self.parameters() if parameter.requires_grad]
        return (
            torch.optim.Adam(trainable, lr=self.lr, eps=self.eps, fused=True) if trainable else None
        )
