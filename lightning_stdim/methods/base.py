"""The base class of all methods: encoder, loss, steps, early stopping and optimiser."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, ClassVar, Literal

from pytorch_lightning import Callback, LightningModule
from pytorch_lightning.utilities.types import OptimizerLRScheduler
from torch import Tensor

from lightning_stdim.callbacks import ExactResume, RaiseOnNonFiniteLoss, ResumableEarlyStopping
from lightning_stdim.datamodules.batches import ProbeBatch, SequenceBatch
from lightning_stdim.datamodules.pixels import CHANNELS, Pixels
from lightning_stdim.encoders import DEFAULT_ENCODER, build_encoder, frame_stack, with_channels
from lightning_stdim.methods.terms import checked_terms
from lightning_stdim.utils.epoch_means import EpochMeans
from lightning_stdim.utils.lightning_package import PackageAware
from lightning_stdim.utils.optimisation import check_optimisation, may_be_fused, warmed_up_adam


class SSLMethod(PackageAware, LightningModule):
    """A self-supervised method: an encoder and a loss over consecutive frames.

    To write a method, subclass this, make the parts of the loss in ``__init__`` and override
    :meth:`loss`. Each term that :meth:`loss` returns is logged once per epoch, as the mean over
    its samples, under ``train/``, ``val/`` and ``test/``. Arguments are plain values, so that
    checkpoints load with ``weights_only=True``.

    Args:
        encoder: dotted path of the encoder's class; by default the method's usual encoder.
        encoder_args: keyword arguments of the encoder's class; ``in_channels`` is set to 3 for RGB
            frames unless it is given.
        pixels: pixel format of the frames, ``"luma"`` or ``"rgb"``. On the command line set
            ``--data.pixels`` alone: the model follows it.
        lr: Adam's learning rate, positive.
        eps: Adam's epsilon.
        warmup_steps: number W of steps in which the learning rate rises linearly to ``lr``.
        patience: number of epochs without a better validation metric after which training stops.

    Raises:
        ConfigurationError: a value is out of its range.
    """

    name: ClassVar[str | None] = None
    """Name of the method in results; a class that sets none is called by its dotted path."""
    default_encoder: ClassVar[str] = DEFAULT_ENCODER
    """Dotted path of the encoder's class unless the ``encoder`` argument names another one."""
    data_stage: ClassVar[Literal["pretrain", "probe"]] = "pretrain"
    """The kind of batches to provide; the data module reads this and the next three attributes."""
    sequence_length: int = 2
    """T, the number of consecutive observations per sample."""
    batch_size: int = 64
    """Number of samples per batch, over all devices."""
    needs_same_episode_frames: bool = False
    """Whether each batch also holds a second, random observation of each sample's episode."""
    monitor: ClassVar[str | None] = "val/loss"
    """The metric whose minimum decides the best checkpoint and early stopping; None for neither."""

    def __init__(
        self,
        *,
        encoder: str | None = None,
        encoder_args: dict[str, Any] | None = None,
        pixels: Pixels = "luma",
        lr: float = 3e-4,
        eps: float = 1e-5,
        warmup_steps: int = 0,
        patience: int = 15,
    ) -> None:
        super().__init__()
        check_optimisation(lr=lr, patience=patience, warmup_steps=warmup_steps)
        self.save_hyperparameters()
        encoder = encoder or self.default_encoder  # recorded below, so that checkpoints name it
        encoder_args = with_channels(encoder, encoder_args, pixels)
        self.hparams.update(encoder=encoder, encoder_args=encoder_args)
        self.encoder = build_encoder(encoder, encoder_args)
        self.pixels, self.channels = pixels, CHANNELS[pixels]  # of a frame
        self.frame_stack = frame_stack(self.encoder, self.channels)
        self.lr, self.eps, self.patience, self.warmup_steps = lr, eps, patience, warmup_steps
        self.epoch_means = {stage: EpochMeans() for stage in ("train", "val", "test")}

    def forward(self, frames: Tensor) -> Tensor:
        """Encode observations: uint8 [B, C, 210, 160], values 0 to 255, to float [B, D]."""
        return self.encoder(frames)  # type: ignore[no-any-return]

    @abstractmethod
    def loss(self, batch: SequenceBatch) -> dict[str, Tensor]:
        """Compute the loss of a batch.

        Args:
            batch: sequences of consecutive frames; :class:`SequenceBatch` gives the shapes.

        Returns:
            ``"loss"``, float [], which training minimises, and any other terms to log, float [].
        """

    def training_step(self, batch: SequenceBatch, batch_idx: int) -> Tensor:
        """Compute the loss of a training batch and log its terms."""
        return self._step("train", batch, batch_idx)

    def validation_step(self, batch: SequenceBatch, batch_idx: int) -> None:
        """Log the loss terms of a validation batch."""
        self._step("val", batch, batch_idx)

    def test_step(self, batch: SequenceBatch, batch_idx: int) -> None:
        """Log the loss terms of a test batch; its episodes are those of the probe collection."""
        self._step("test", batch, batch_idx)

    def predict_step(self, batch: ProbeBatch, batch_idx: int) -> Tensor:
        """Encode a batch of probe frames."""
        return self(batch.frames)  # type: ignore[no-any-return]

    def _step(self, stage: str, batch: SequenceBatch, batch_idx: int) -> Tensor:
        terms = checked_terms(self, self.loss(batch))
        named = {f"{stage}/{name}": value for name, value in terms.items()}
        samples = len(batch[1])  # anchors, or the labels of a method that does not pretrain
        self.epoch_means[stage].update(self, named, batch_idx=batch_idx, weight=samples)
        return terms["loss"]

    def configure_callbacks(self) -> list[Callback]:
        """Make early stopping on :attr:`monitor` and the check that the loss is finite."""
        stop = [ResumableEarlyStopping(self.monitor, self.patience)] if self.monitor else []
        return [RaiseOnNonFiniteLoss(), ExactResume(), *stop]

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Make Adam over the parameters that require a gradient; None if there are none."""
        trainable = [parameter for parameter in self.parameters() if parameter.requires_grad]
        if not trainable:
            return None
        fused = may_be_fused(self)
        return warmed_up_adam(trainable, self.lr, self.eps, self.warmup_steps, fused=fused)
