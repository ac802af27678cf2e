"""A LightningModule whose validation scores are written down in advance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from torch import Tensor, nn
from torch.utils.data import DataLoader

from tests.trainers import quiet


class Scripted(LightningModule):
    """Every parameter counts the epochs in which it was trained."""

    def __init__(self, scores: Mapping[str, Sequence[float]]) -> None:
        super().__init__()
        self.scores = scores
        self.layers = nn.ModuleList(nn.BatchNorm1d(1) for _ in scores)  # parameters and buffers
        self.units = dict(zip(scores, self.layers, strict=True))
        self.unit_scores: dict[str, float] = {}
        for layer in self.layers:
            nn.init.zeros_(layer.weight)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(
            [{"params": list(u.parameters()), "name": n} for n, u in self.units.items()], lr=1.0
        )

    def train_dataloader(self) -> DataLoader[Tensor]:
        return DataLoader(torch.zeros(1, 1), batch_size=None)

    val_dataloader = train_dataloader

    def training_step(self, batch: Tensor, batch_idx: int) -> Tensor:
        # Learning rate times the gradient is -1: a weight is minus the loss's slope, per epoch.
        loss = torch.zeros((), requires_grad=True)
        for group, layer in zip(self.trainer.optimizers[0].param_groups, self.layers, strict=True):
            layer.running_mean += 1  # a buffer, which must be restored as well
            loss = loss - layer.weight.sum() / group["lr"]
        return loss

    def validation_step(self, batch: Tensor, batch_idx: int) -> None:
        self.unit_scores = {n: s[self.current_epoch] for n, s in self.scores.items()}


def fit(module: Scripted, callback: Callback, epochs: int, **kwargs: Any) -> Trainer:
    trainer = quiet(max_epochs=epochs, callbacks=[callback])
    trainer.fit(module, **kwargs)
    return trainer


def interrupted_fit(
    make: Any, scores: Mapping[str, Sequence[float]], folder: Path, cut: int, epochs: int
) -> tuple[Scripted, Callback, Trainer]:
    """Train to ``cut``, save, and go on in new objects from a weights-only checkpoint."""
    path = folder / "cut.ckpt"

    class Save(type(make())):  # type: ignore[misc]
        """Save before the end of training restores any weights."""

        def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
            if trainer.current_epoch == cut - 1:
                trainer.save_checkpoint(path)

    saver = Save(**{k: v for k, v in vars(make()).items() if k in ("patience", "restore")})
    Save.__qualname__ = type(make()).__qualname__  # Lightning keys callbacks' states by class name
    fit(Scripted(scores), saver, cut)
    torch.load(path, weights_only=True)
    module, callback = Scripted(scores), make()
    return module, callback, fit(module, callback, epochs, ckpt_path=path, weights_only=True)
