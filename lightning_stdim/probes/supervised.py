"""SUPERVISED: the encoder and its linear heads trained end to end on the labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal, get_args

import torch
from pytorch_lightning import Callback
from torch import Tensor, nn
from torch.nn import functional as F

from lightning_stdim.callbacks import (
    ExactResume,
    PerVariableEarlyStopping,
    PerVariableReduceLROnPlateau,
    RaiseOnNonFiniteLoss,
)
from lightning_stdim.datamodules.batches import ProbeBatch
from lightning_stdim.datamodules.pixels import Pixels
from lightning_stdim.encoders import DEFAULT_ENCODER, with_channels
from lightning_stdim.errors import ConfigurationError
from lightning_stdim.probes.encoder_with_heads import EncoderWithHeads
from lightning_stdim.utils.epoch_means import EpochMeans
from lightning_stdim.utils.optimisation import check_optimisation, may_be_fused

Optimizers = Literal["shared", "per_variable"]


class Supervised(EncoderWithHeads):
    """An upper bound for the probes: no frozen encoder, but one trained on the labels.

    By default one backbone is shared by all variables: the loss is the mean of their
    cross-entropies, and learning rate, early stopping and best weights follow the mean of their
    validation accuracies. With ``per_variable_encoder=True``, the reference's way, every variable
    trains an encoder of its own, starting from the same weights, and is slowed down and stopped on
    its own; this costs V times as much.

    Either way the best weights are restored at the end of ``fit``, unlike in the reference, by the
    callbacks that this module brings along (``PerVariableEarlyStopping``,
    ``PerVariableReduceLROnPlateau``); the trainer's own of the same class take their place. With
    ``patience=None`` there are none: every epoch is trained, and the last weights are kept.

    ``optimizers="per_variable"`` repeats how the challenge report trained one shared encoder:
    V Adam optimisers, one per variable, each with the encoder's parameters and those of its
    variable's head. In every batch, each in turn takes a step for its own variable's cross-entropy,
    computed with the encoder that the previous one left. So a batch is V optimiser steps, and costs
    V passes. Such training may collapse (``docs/methods/supervised.md``).

    Logged per epoch: ``train/loss`` (mean over variables), and for ``val`` and ``test`` the means
    over variables ``f1``, ``accuracy``, ``macro_f1``, ``balanced_accuracy``, and ``error``, which
    is 1 - accuracy, to be minimised; ``train/loss/<variable>`` and ``f1/<variable>`` for every
    variable.

    Sources: Anand et al. 2019 (arXiv 1906.08226), section 5, SUPERVISED; for ``"per_variable"`` the
    code of the challenge report (shekarramaswamy4/state-representation-replication, 5de486e).

    Args:
        encoder: dotted path of the backbone's class.
        encoder_args: its keyword arguments; ``in_channels`` is 3 by default where frames are RGB.
        pixels: kind of frames, ``"luma"`` or ``"rgb"``; on the command line that of the data.
        lr: Adam's initial learning rate.
        eps: Adam's epsilon.
        patience: epochs without better validation accuracy before training stops. None for no
            early stopping and no learning-rate schedule, and for the last weights instead of the
            best.
        per_variable_encoder: one encoder per variable instead of one for all.
        optimizers: how a shared encoder is trained: ``"shared"`` for one Adam over the mean of the
            losses, or ``"per_variable"`` for one Adam per variable, each of which steps the
            encoder.

    Raises:
        ConfigurationError: a value is out of its range, or both options per variable are given.

    Attributes:
        units: for the callbacks; see ``callbacks/units.py``.
        unit_scores: validation accuracy of each unit.
    """

    name: ClassVar[str] = "supervised"
    data_stage: ClassVar[Literal["pretrain", "probe"]] = "probe"
    monitor: str | None = "val/error"

    def __init__(
        self,
        *,
        encoder: str | None = None,
        encoder_args: dict[str, Any] | None = None,
        pixels: Pixels = "luma",
        lr: float = 3e-4,
        eps: float = 1e-5,
        patience: int | None = 15,
        per_variable_encoder: bool = False,
        optimizers: Optimizers = "shared",
    ) -> None:
        check_optimisation(lr=lr, patience=patience)
        if optimizers not in (known := get_args(Optimizers)):
            raise ConfigurationError(
                f"model.optimizers={optimizers!r}: choose {' or '.join(map(repr, known))}"
            )
        if optimizers == "per_variable" and per_variable_encoder:
            raise ConfigurationError(
                "model.optimizers='per_variable' is for one encoder that all variables share, and "
                "model.per_variable_encoder=True gives each its own: leave out one of the two"
            )
        encoder = encoder or DEFAULT_ENCODER
        encoder_args = with_channels(encoder, encoder_args, pixels)
        super().__init__(
            encoder, encoder_args, pixels=pixels, per_variable_encoder=per_variable_encoder
        )
        self.save_hyperparameters()
        self.hparams.update(encoder=encoder, encoder_args=encoder_args)
        self.automatic_optimization = optimizers == "shared"
        self.lr = lr
        self.eps = eps
        self.patience = patience
        if patience is None:
            self.monitor = None  # no weights are better than the last
        self.unit_scores: dict[str, float] = {}
        self.epoch_means = {"train": EpochMeans()}

    def setup(self, stage: str) -> None:
        """Make the heads for the data module's variables.

        Args:
            stage: not used.

        Raises:
            ConfigurationError: if there is no data module with ``probe_data()``, if it gives
                another stage's batches, or if encoders or optimisers per variable are to train on
                several devices.
            EncoderError: if the encoder does not return a finite float tensor [B, D], or a loaded
                checkpoint's heads are for other variables.
        """
        if self.trainer.world_size > 1:
            # Devices exchange all gradients in every pass: a stopped encoder has none, and neither
            # have the other variables' heads.
            for name, chosen in (
                ("per_variable_encoder", self.per_variable_encoder),
                ("optimizers=per_variable", not self.automatic_optimization),
            ):
                if chosen:
                    raise ConfigurationError(
                        f"model.{name} does not train on {self.trainer.world_size} devices: use "
                        "--trainer.devices 1"
                    )
        super().setup(stage)

    def configure_optimizers(self) -> torch.optim.Optimizer | list[torch.optim.Optimizer]:
        """Make Adam with one parameter group per unit, or one Adam per variable."""
        if self.automatic_optimization:
            return self._adam(self.units)
        return [
            self._adam({"all": nn.ModuleList([self.encoder, head])}) for head in self.heads.heads
        ]

    def _adam(self, units: Mapping[str, nn.Module]) -> torch.optim.Optimizer:
        groups = [{"params": list(unit.parameters()), "name": name} for name, unit in units.items()]
        return torch.optim.Adam(groups, lr=self.lr, eps=self.eps, fused=may_be_fused(self))

    def configure_callbacks(self) -> list[Callback]:
        """Make early stopping and learning-rate schedule, unless the trainer has its own."""
        own: list[Callback] = [RaiseOnNonFiniteLoss(), ExactResume()]
        if self.patience is not None:
            own += [
                PerVariableReduceLROnPlateau(),
                PerVariableEarlyStopping(patience=self.patience),
            ]
        given = {type(callback) for callback in self.trainer.callbacks}  # type: ignore[attr-defined]
        return [callback for callback in own if type(callback) not in given]

    def training_step(self, batch: ProbeBatch, batch_idx: int) -> Tensor:
        """Run Lightning's training step, for the variables that still learn."""
        columns = self.heads.active()
        if self.automatic_optimization:
            losses = self._losses(batch, columns)
        else:
            losses = torch.cat([self._step(v, batch) for v in columns])
        loss = losses.mean()
        names = [f"train/loss/{self.heads.variables[v]}" for v in columns]
        means = {"train/loss": loss, **dict(zip(names, losses, strict=True))}
        self.epoch_means["train"].update(self, means, batch_idx=batch_idx, weight=len(batch.labels))
        # Encoders of their own learn as if each were alone: from the sum, not the mean.
        return loss * len(columns) if self.per_variable_encoder else loss

    def _losses(self, batch: ProbeBatch, columns: Sequence[int]) -> Tensor:
        """Compute the mean cross-entropy of A variables, float [A]."""
        logits = self(batch.frames, columns)  # [B, A, 256]
        # Not by a list, which a GPU would be sent, and waited for.
        labels = torch.stack([batch.labels[:, v] for v in columns], dim=1)
        each = F.cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction="none")
        return each.view(labels.shape).mean(0)

    def _step(self, column: int, batch: ProbeBatch) -> Tensor:
        """Take a variable's own optimiser step, and return its loss before it, float [1]."""
        optimizers = self.optimizers()
        # Of one optimiser, Lightning makes no list.
        optimizer = optimizers[column] if isinstance(optimizers, list) else optimizers
        loss = self._losses(batch, [column])
        optimizer.zero_grad()
        self.manual_backward(loss.squeeze())
        optimizer.step()
        return loss.detach()

    def on_validation_epoch_end(self) -> None:
        """Log the scores and hand each unit its own."""
        accuracy = self._log_scores("val", self.val_scores)["accuracy"]
        if self.per_variable_encoder:
            self.unit_scores = dict(zip(self.units, accuracy.flatten().tolist(), strict=True))
        else:
            self.unit_scores = {"all": accuracy.mean().item()}
