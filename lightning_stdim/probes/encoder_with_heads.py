"""An encoder, or one per variable, with linear heads: made for the data, loaded and scored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any

import torch
from pytorch_lightning import LightningModule
from torch import Tensor, nn

from lightning_stdim.callbacks import PerVariableEarlyStopping
from lightning_stdim.datamodules.batches import ProbeBatch, ProbeData, Split
from lightning_stdim.datamodules.pixels import CHANNELS, Pixels
from lightning_stdim.encoders import build_encoder, frame_stack
from lightning_stdim.errors import ConfigurationError, EncoderError
from lightning_stdim.probes.encode import encode
from lightning_stdim.probes.evaluation import Evaluation
from lightning_stdim.probes.heads import LinearHeads
from lightning_stdim.probes.metrics import PerVariableScores
from lightning_stdim.probes.scores import MetricTable, score_tables
from lightning_stdim.utils.lightning_package import PackageAware


class EncoderWithHeads(PackageAware, LightningModule):
    """The network of :class:`Supervised`, its checkpoints and its scores, without the training.

    The heads are made when the data module's variables are known, or for those that a checkpoint
    names. A subclass trains, and calls ``save_hyperparameters``.

    Args:
        encoder: dotted path of the backbone's class.
        encoder_args: its keyword arguments.
        pixels: kind of frames, ``"luma"`` or ``"rgb"``.
        per_variable_encoder: one encoder per variable instead of one for all.

    Attributes:
        units: for the callbacks; see ``callbacks/units.py``.
    """

    def __init__(
        self,
        encoder: str,
        encoder_args: dict[str, Any] | None,
        *,
        pixels: Pixels,
        per_variable_encoder: bool,
    ) -> None:
        super().__init__()
        self.per_variable_encoder = per_variable_encoder
        backbone = build_encoder(encoder, encoder_args)
        self.pixels = pixels  # for the data module, and so is the next
        self.frame_stack = frame_stack(backbone, CHANNELS[pixels])
        if per_variable_encoder:
            self.encoders = nn.ModuleList([backbone])  # the other ones follow in setup
        else:
            self.encoder = backbone
        self.units: Mapping[str, nn.Module] = {}
        self._data: ProbeData | None = None
        self._test_scores: MetricTable | None = None

    def setup(self, stage: str) -> None:
        """Make the heads for the data module's variables.

        Args:
            stage: not used.

        Raises:
            ConfigurationError: if there is no data module with ``probe_data()``, or if it gives
                another stage's batches.
            EncoderError: if the encoder does not return a finite float tensor [B, D], or a loaded
                checkpoint's heads are for other variables.
        """
        if self._data is not None:
            return
        datamodule = getattr(self.trainer, "datamodule", None)
        if datamodule is None or not hasattr(datamodule, "probe_data"):
            raise ConfigurationError(
                f"{type(self).__name__} needs a data module with probe_data(), such as "
                "AtariDataModule"
            )
        if getattr(datamodule, "stage", "probe") != "probe":
            raise ConfigurationError(
                f"{type(self).__name__} needs labelled frames: leave out --data.stage"
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
            raise ConfigurationError(f"{type(self).__name__} has no heads before trainer.fit(...)")
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
            raise ConfigurationError(
                f"{type(self).__name__} has no scores before trainer.test(...)"
            )
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
