"""SUPERVISED: the encoder and its linear heads trained end to end on the labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any, ClassVar, Literal, get_args

import torch
from pytorch_lightning import Callback, LightningModule
from torch import Tensor, nn
from torch.nn import functional as F

from lightning_stdim.callbacks import (
    PerVariableEarlyStopping,
    PerVariableReduceLROnPlateau,
    RaiseOnNonFiniteLoss,
)
from lightning_stdim.datamodules.batches import ProbeBatch, ProbeData, Split
from lightning_stdim.datamodules.pixels import CHANNELS, Pixels
from lightning_stdim.encoders import DEFAULT_ENCODER, build_encoder, frame_stack, with_channels
from lightning_stdim.errors import ConfigurationError, EncoderError
from lightning_stdim.probes.encode import encode
from lightning_stdim.probes.evaluation import Evaluation
from lightning_stdim.probes.heads import LinearHeads
from lightning_stdim.probes.metrics import PerVariableScores
from lightning_stdim.probes.scores import MetricTable, score_tables
from lightning_stdim.utils.epoch_means import EpochMeans
from lightning_stdim.utils.lightning_package import PackageAware
from lightning_stdim.utils.optimisation import check_optimisation

Optimizers = Literal["shared", "per_variable"]


class Supervised(PackageAware, LightningModule):
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

    ``optimizers="per_variable"`` repeats how the reproducibility report trained one shared encoder:
    V Adam optimisers, one per variable, each with the encoder's parameters and those of its
    variable's head. In every batch, each in turn takes a step for its own variable's cross-entropy,
    computed with the encoder that the previous one left. So a batch is V optimiser steps, and costs
    V passes. Such training may collapse (``docs/methods/supervised.md``).

    Logged per epoch: ``train/loss`` (mean over variables), and for ``val`` and ``test`` the means
    over variables ``f1``, ``accuracy``, ``macro_f1``, ``balanced_accuracy``, and ``error``, which
    is 1 - accuracy, to be minimised; ``train/loss/<variable>`` and ``f1/<variable>`` for every
    variable.

    Sources: Anand et al. 2019 (arXiv 1906.08226), section 5, SUPERVISED; for ``"per_variable"`` the
    code of the reproducibility report (shekarramaswamy4/state-representation-replication, 5de486e).

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
        super().__init__()
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
        self.save_hyperparameters()
        self.automatic_optimization = optimizers == "shared"
        self.lr = lr
        self.eps = eps
        self.patience = patience
        if patience is None:
            self.monitor = None  # no weights are better than the last
        self.per_variable_encoder = per_variable_encoder
        encoder = encoder or DEFAULT_ENCODER
        encoder_args = with_channels(encoder, encoder_args, pixels)
        self.hparams.update(encoder=encoder, encoder_args=encoder_args)
        backbone = build_encoder(encoder, encoder_args)
        self.pixels = pixels  # for the data module, and so is the next
        self.frame_stack = frame_stack(backbone, CHANNELS[pixels])
        if per_variable_encoder:
            self.encoders = nn.ModuleList([backbone])  # the other ones follow in setup
        else:
            self.encoder = backbone
        self.units: Mapping[str, nn.Module] = {}
        self.unit_scores: dict[str, float] = {}
        self._data: ProbeData | None = None
        self._test_scores: MetricTable | None = None
        self._means = EpochMeans()

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
        if self._data is not None:
            return
        datamodule = getattr(self.trainer, "datamodule", None)
        if datamodule is None or not hasattr(datamodule, "probe_data"):
            raise ConfigurationError(
                "Supervised needs a data module with probe_data(), such as AtariDataModule"
            )
        if getattr(datamodule, "stage", "probe") != "probe":
            raise ConfigurationError("Supervised needs labelled frames: leave out --data.stage")
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
        data: ProbeData = datamodule.probe_data()
        if self.units:  # of a checkpoint that was loaded without a trainer
            if list(data.variables) != (theirs := list(self.heads.variables)):
                raise _other_variables(theirs, list(data.variables))
        else:
            backbone = self.encoders[0] if self.per_variable_encoder else self.encoder
            self._make_heads(data.variables, encode(backbone, data.frames[:2]).shape[1])
        self._data = data

    def _make_heads(self, variables: Sequence[str], feature_dim: int) -> None:
        seed = torch.initial_seed() % 2**31
        self.heads = LinearHeads(variables, feature_dim, seed=seed).to(self.device)
        if self.per_variable_encoder:
            self.encoders.extend(deepcopy(self.encoders[0]) for _ in variables[1:])
            pairs = zip(self.encoders, self.heads.heads, strict=True)
            self.units = dict(zip(variables, map(nn.ModuleList, pairs), strict=True))
        else:
            self.units = {"all": nn.ModuleList([self.encoder, self.heads])}
        self.val_scores = PerVariableScores(len(variables))
        self.test_scores = PerVariableScores(len(variables))

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Name the variables that the heads are for."""
        checkpoint["variables"] = list(self.heads.variables)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Make the heads of the checkpoint, or refuse those of other variables than the data's.

        Args:
            checkpoint: its contents.

        Raises:
            EncoderError: it was trained for other variables than the data has, or names none.
        """
        theirs = checkpoint.get("variables")
        if theirs is None:
            raise EncoderError("the checkpoint does not say which variables its heads are for")
        if not self.units:  # without a trainer there is no data yet to make heads for
            weights = checkpoint["state_dict"]["heads.heads.0.weight"]
            self._make_heads(theirs, weights.shape[1])
        elif theirs != (ours := list(self.heads.variables)):
            raise _other_variables(theirs, ours)

    def configure_optimizers(self) -> torch.optim.Optimizer | list[torch.optim.Optimizer]:
        """Make Adam with one parameter group per unit, or one Adam per variable."""
        if self.automatic_optimization:
            return self._adam(self.units)
        return [
            self._adam({"all": nn.ModuleList([self.encoder, head])}) for head in self.heads.heads
        ]

    def _adam(self, units: Mapping[str, nn.Module]) -> torch.optim.Optimizer:
        groups = [{"params": list(unit.parameters()), "name": name} for name, unit in units.items()]
        return torch.optim.Adam(groups, lr=self.lr, eps=self.eps, fused=True)

    def configure_callbacks(self) -> list[Callback]:
        """Make early stopping and learning-rate schedule, unless the trainer has its own."""
        own: list[Callback] = [RaiseOnNonFiniteLoss()]
        if self.patience is not None:
            own += [
                PerVariableReduceLROnPlateau(),
                PerVariableEarlyStopping(patience=self.patience),
            ]
        given = {type(callback) for callback in self.trainer.callbacks}  # type: ignore[attr-defined]
        return [callback for callback in own if type(callback) not in given]

    def forward(self, frames: Tensor, columns: list[int] | None = None) -> Tensor:
        """Compute the logits.

        Args:
            frames: uint8 [B, 1, H, W], values 0 to 255.
            columns: column numbers of the A variables; all V by default.

        Returns:
            float [B, A, 256].
        """
        if not self.per_variable_encoder:
            return self.heads(self.encoder(frames), columns)  # type: ignore[no-any-return]
        chosen = range(len(self.encoders)) if columns is None else columns
        return torch.stack([self.heads.heads[v](self.encoders[v](frames)) for v in chosen], dim=1)

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
        self._means.update(self, means, batch_idx=batch_idx, weight=len(batch.labels))
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

    def validation_step(self, batch: ProbeBatch, batch_idx: int) -> None:
        """Count right and wrong predictions."""
        self.val_scores.update(self(batch.frames).argmax(2), batch.labels)

    def test_step(self, batch: ProbeBatch, batch_idx: int) -> None:
        """Count right and wrong predictions."""
        self.test_scores.update(self(batch.frames).argmax(2), batch.labels)

    def predict_step(self, batch: ProbeBatch, batch_idx: int) -> Tensor:
        """Encode a batch: the shared encoder's vectors, or all encoders' side by side."""
        encoders = self.encoders if self.per_variable_encoder else [self.encoder]
        return torch.cat([encoder(batch.frames) for encoder in encoders], dim=1)

    def on_validation_epoch_end(self) -> None:
        """Log the scores and hand each unit its own."""
        accuracy = self._log_scores("val", self.val_scores)["accuracy"]
        if self.per_variable_encoder:
            self.unit_scores = dict(zip(self.units, accuracy.flatten().tolist(), strict=True))
        else:
            self.unit_scores = {"all": accuracy.mean().item()}

    def on_test_epoch_end(self) -> None:
        """Log the scores and keep them for :meth:`scores`."""
        assert self._data is not None
        self._test_scores = score_tables(self.test_scores, self._data)
        self._log_scores("test", self.test_scores)

    def _log_scores(self, stage: str, metric: PerVariableScores) -> dict[str, Tensor]:
        scores: dict[str, Tensor] = metric.compute()
        metric.reset()
        means = {f"{stage}/{name}": values.mean() for name, values in scores.items()}
        each = zip(self.heads.variables, scores["f1"].reshape(-1), strict=True)
        means |= {f"{stage}/f1/{name}": value for name, value in each}
        self.log_dict({**means, f"{stage}/error": 1 - means[f"{stage}/accuracy"]}, sync_dist=True)
        return scores

    @torch.no_grad()
    def predict_labels(self, split: Split) -> Tensor:
        """Predict the labels of the data module's frames.

        Args:
            split: the split whose frames are taken.

        Returns:
            int64 [n, V], on the CPU.

        Raises:
            ConfigurationError: if no trainer has set the model up.
        """
        if self._data is None:
            raise ConfigurationError("Supervised has no heads before trainer.fit(...)")
        units: list[tuple[nn.Module, list[int] | None]]
        if self.per_variable_encoder:
            units = [(encoder, [v]) for v, encoder in enumerate(self.encoders)]
        else:
            units = [(self.encoder, None)]
        columns = []
        for encoder, heads in units:
            features = encode(
                encoder,
                self._data.frames,
                self._data.splits[split],
                episode_start=self._data.episode_start,
            )
            chunks = torch.split(features, 1024)  # bounds the logits' memory
            columns.append(torch.cat([self.heads(chunk, heads).argmax(2) for chunk in chunks]))
        return torch.cat(columns, dim=1).cpu()

    def scores(self) -> Evaluation:
        """Give the scores of the last ``trainer.test``.

        Returns:
            An evaluation with the one protocol ``"supervised"``.

        Raises:
            ConfigurationError: if ``trainer.test`` has not run.
        """
        if self._test_scores is None or self._data is None:
            raise ConfigurationError("Supervised has no scores before trainer.test(...)")
        settings: dict[str, Any] = dict(self.hparams)
        for callback in self.trainer.callbacks:  # type: ignore[attr-defined]
            if isinstance(callback, PerVariableEarlyStopping):
                settings["best_epoch"] = {k: e + 1 for k, e in callback.best_epoch.items()}
                settings["stopped_epoch"] = {k: e + 1 for k, e in callback.stopped_epoch.items()}
        return Evaluation.of(
            self._data,
            protocols={"supervised": self._test_scores},
            predictions={"supervised": self.predict_labels("test")},
            settings={"supervised": settings},
        )


def _other_variables(theirs: list[str], ours: list[str]) -> EncoderError:
    return EncoderError(
        f"the checkpoint's heads are for {theirs}, the data has {ours}: use the --data options "
        "that it was trained with"
    )
