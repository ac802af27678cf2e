"""The ``paper`` protocol: the published optimiser on the raw features, all variables at once."""

from __future__ import annotations

import logging
import signal
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from torch import Tensor, nn

from lightning_stdim.callbacks import PerVariableEarlyStopping, PerVariableReduceLROnPlateau
from lightning_stdim.datamodules.batches import Split
from lightning_stdim.errors import ConfigurationError, TrainingError
from lightning_stdim.probes.features import ProbeFeatures
from lightning_stdim.probes.fused_adam import side_by_side
from lightning_stdim.probes.heads import NUM_CLASSES, LinearHeads, MLPHeads
from lightning_stdim.utils.progress_bar import progress_bar


@dataclass(frozen=True)
class PaperSettings:
    """Settings of the ``paper`` protocol; the defaults are the published ones.

    Source: Anand et al. 2019 (arXiv 1906.08226), section 5, and the reference implementation's
    defaults. It differs from these in ``restore`` and ``sampling``, whose other values are the
    reference's way.

    Args:
        lr: Adam's initial learning rate.
        eps: Adam's epsilon.
        batch_size: frames per step.
        max_epochs: at most so many epochs.
        patience: a variable stops after so many epochs without better validation accuracy.
        plateau_patience: epochs without better validation accuracy that a learning rate survives.
        plateau_factor: then it is multiplied by this.
        min_lr: but not lowered below this.
        standardize: shift and scale the features to mean 0 and deviation 1 on the training split.
        restore: score each variable's weights of its best epoch, or, like the reference, of its
            last.
        sampling: "frames" takes every frame once an epoch, and once for every score. "episodes" is
            the reference's way for training, validation and test: an episode uniformly, then one
            of its frames, with replacement, and no incomplete batch.
        hidden: units of a hidden layer with ReLU in each variable's probe; 0 for the published
            linear one.
        classes: "all" 256 values of a byte, or for each variable those "observed" in training.
    """

    lr: float = 3e-4
    eps: float = 1e-5
    batch_size: int = 64
    max_epochs: int = 100
    patience: int = 15
    plateau_patience: int = 5
    plateau_factor: float = 0.2
    min_lr: float = 1e-5
    standardize: bool = False
    restore: Literal["best", "last"] = "best"
    sampling: Literal["frames", "episodes"] = "frames"
    hidden: int = 0
    classes: Literal["all", "observed"] = "all"

    def __post_init__(self) -> None:
        for name in ("lr", "eps", "batch_size", "max_epochs", "patience"):
            if not getattr(self, name) > 0:
                raise ConfigurationError(f"paper.{name}={getattr(self, name)} must be positive")
        if self.hidden < 0:
            raise ConfigurationError(f"paper.hidden={self.hidden} must be 0 (linear) or positive")
        self.plateau()  # checks its own values

    def plateau(self) -> PerVariableReduceLROnPlateau:
        """Make the learning-rate schedule.

        Returns:
            A new callback.

        Raises:
            ConfigurationError: a value is out of its range.
        """
        return PerVariableReduceLROnPlateau(
            patience=self.plateau_patience, factor=self.plateau_factor, min_lr=self.min_lr
        )


class FrozenProbe(LightningModule):
    """One head per variable on cached features.

    A training step is one whole epoch: the features lie in memory, so that a "batch" is the
    epoch's order of frames, and the loop over minibatches is the module's own. (There are 55 000
    on 35 000 training frames, and what a trainer adds to a step would be a good part of their
    cost.) Gradients come in closed form, hence the manual optimisation.

    Each head is initialised and sees the frames in an order that depend on the seed alone, so
    that the result is that of training it on its own, but for rounding where it has a hidden layer.

    Args:
        data: features and labels of the three splits.
        settings: of the protocol.
        seed: of the initialisation and of the order of the frames.
    """

    def __init__(self, data: ProbeFeatures, *, settings: PaperSettings, seed: int = 0) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.data = data
        self.settings = settings
        self.seed = seed
        dim = data.features["train"].shape[1]
        classes = None
        if settings.classes == "observed":
            train = data.labels["train"].T.cpu()
            classes = torch.zeros(len(train), NUM_CLASSES, dtype=torch.bool).scatter_(
                1, train, True
            )
        self.heads = (
            MLPHeads(data.variables, dim, hidden=settings.hidden, classes=classes, seed=seed)
            if settings.hidden
            else LinearHeads(data.variables, dim, classes=classes, seed=seed)
        )
        self.units: Mapping[str, nn.Module] = dict(
            zip(data.variables, self.heads.heads, strict=True)
        )
        self.unit_scores: dict[str, float] = {}

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Make Adam with one parameter group per variable."""
        groups = [
            {"params": list(unit.parameters()), "name": name} for name, unit in self.units.items()
        ]
        return torch.optim.Adam(groups, lr=self.settings.lr, eps=self.settings.eps, fused=True)

    def configure_callbacks(self) -> list[Callback]:
        """Make the protocol's early stopping and learning-rate schedule."""
        settings = self.settings
        return [
            settings.plateau(),
            PerVariableEarlyStopping(patience=settings.patience, restore=settings.restore),
        ]

    def train_dataloader(self) -> _Orders:
        """Give one order of the training frames per epoch."""
        return _Orders(lambda: self.order("train", self.current_epoch))

    def val_dataloader(self) -> _Orders:
        """Give one order of the validation frames per epoch."""
        return _Orders(lambda: self.order("val", self.current_epoch))

    def order(self, split: Split, epoch: int) -> Tensor:
        """Draw the frames of an epoch.

        Args:
            split: where from.
            epoch: counted from 0.

        Returns:
            int64 [n], positions in the split.
        """
        labels = self.data.labels[split]
        number = ("train", "val", "test").index(split)
        generator = torch.Generator().manual_seed(((self.seed << 20) + epoch) * 3 + number)
        if self.settings.sampling == "episodes":
            order = self.data.draw_by_episode(split, generator)
            whole = len(order) // self.settings.batch_size * self.settings.batch_size
            order = order[: whole or None]  # a split smaller than a batch stays whole
        elif split == "train":
            order = torch.randperm(len(labels), generator=generator)
        else:
            order = torch.arange(len(labels))
        return order.to(labels.device)

    def training_step(self, order: Tensor, batch_idx: int) -> None:
        """Train one epoch.

        Args:
            order: int64 [n], the frames in the order in which they are taken.
            batch_idx: unused.
        """
        optimizer = self.optimizers(use_pl_optimizer=False)
        assert isinstance(optimizer, torch.optim.Optimizer)
        features, labels = self.data.features["train"], self.data.labels["train"]
        with side_by_side(self.heads, optimizer) as (columns, step):
            labels = labels[:, columns]
            for batch in torch.split(order, self.settings.batch_size):
                step(features[batch], labels[batch])

    def validation_step(self, order: Tensor, batch_idx: int) -> None:
        """Score the heads that still learn.

        Args:
            order: int64 [n], the frames to score.
            batch_idx: unused.

        Raises:
            TrainingError: if the weights are no longer finite.
        """
        if not all(parameter.isfinite().all() for parameter in self.heads.parameters()):
            raise TrainingError(
                f"the probe's weights became NaN or infinite in epoch {self.current_epoch}; try a "
                f"smaller learning rate than {self.settings.lr}, or standardised features"
            )
        columns = self.heads.active()
        right = self.predict("val", columns)[order] == self.data.labels["val"][order][:, columns]
        accuracy = right.double().mean(0).tolist()
        self.unit_scores = {
            self.data.variables[v]: score for v, score in zip(columns, accuracy, strict=True)
        }

    @torch.no_grad()
    def predict(self, split: Split, columns: list[int] | None = None) -> Tensor:
        """Predict labels.

        Args:
            split: of which frames.
            columns: numbers of the A heads to ask; all V by default.

        Returns:
            int64 [n, A].
        """
        chunks = torch.split(self.data.features[split], 1024)  # bounds the logits' memory
        return torch.cat([self.heads(chunk, columns).argmax(2) for chunk in chunks])


def train_paper(
    data: ProbeFeatures,
    *,
    settings: PaperSettings | None = None,
    seed: int = 0,
    progress: bool = False,
) -> tuple[Tensor, Tensor, dict[str, Any]]:
    """Run the ``paper`` protocol.

    Args:
        data: features and labels of the three splits.
        settings: of the protocol; the published ones by default.
        seed: of the initialisation and of the order of the frames.
        progress: show a progress bar.

    Returns:
        The predictions for the test split, int64 [n, V]; the positions in it of the frames that
        count, int64 [m]; and, as plain data, for each variable the epochs it was trained, its best
        epoch and its validation accuracy there, and its final learning rate.

    Raises:
        ConfigurationError: if the settings want episodes and the data has none.
        TrainingError: if the weights became NaN or infinite.
    """
    settings = settings or PaperSettings()
    if settings.standardize:
        data = data.standardized()
    probe, details = fit_paper(data, settings=settings, seed=seed, progress=progress)
    return probe.predict("test"), probe.order("test", 0), details


def fit_paper(
    data: ProbeFeatures, *, settings: PaperSettings, seed: int = 0, progress: bool = False
) -> tuple[FrozenProbe, dict[str, Any]]:
    """Train the probes of the ``paper`` protocol, without testing them.

    Args:
        data: features and labels of the training and the validation split, as they are to be used.
        settings: of the protocol.
        seed: of the initialisation and of the order of the frames.
        progress: show a progress bar.

    Returns:
        The probe with the weights to be scored, on the data's device, and the details that
        :func:`train_paper` returns.

    Raises:
        ConfigurationError: if the settings want episodes and the data has none.
        TrainingError: if the weights became NaN or infinite.
    """
    probe = FrozenProbe(data, settings=settings, seed=seed)
    device = data.features["train"].device
    with (
        _quiet_lightning(),
        progress_bar("probing, paper", settings.max_epochs, enabled=progress) as update,
    ):
        trainer = Trainer(
            accelerator="cpu" if device.type == "cpu" else "gpu",
            devices=1 if device.index is None else [device.index],
            max_epochs=settings.max_epochs,
            num_sanity_val_steps=0,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            callbacks=[_Epochs(update)],
        )
        handler = signal.getsignal(signal.SIGINT)
        try:
            trainer.fit(probe)
        except SystemExit:  # what Lightning makes of Ctrl-C, after switching it off
            signal.signal(signal.SIGINT, handler)
            raise KeyboardInterrupt("interrupted while probing") from None
    callbacks: list[Callback] = trainer.callbacks  # type: ignore[attr-defined]
    stopping = next(c for c in callbacks if isinstance(c, PerVariableEarlyStopping))
    (optimizer,) = trainer.optimizers
    details = {
        group["name"]: {
            "epochs": stopping.stopped_epoch.get(group["name"], trainer.current_epoch - 1) + 1,
            "best_epoch": stopping.best_epoch[group["name"]] + 1,
            "val_accuracy": stopping.best_score[group["name"]],
            "final_lr": group["lr"],
        }
        for group in optimizer.param_groups
    }
    return probe.to(device), details


class _Orders:
    """A loader of one batch: the order of the frames in the current epoch."""

    def __init__(self, draw: Callable[[], Tensor]) -> None:
        self.draw = draw

    def __iter__(self) -> Iterator[Tensor]:
        yield self.draw()

    def __len__(self) -> int:
        return 1


class _Epochs(Callback):
    """Move a progress bar by epochs."""

    def __init__(self, update: Callable[[int, str], None]) -> None:
        self.update = update

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        assert isinstance(pl_module, FrozenProbe)
        self.update(trainer.current_epoch + 1, f"{len(pl_module.heads.active())} variables left")


@contextmanager
def _quiet_lightning() -> Iterator[None]:
    """Keep the inner trainer's remarks on hardware and loaders from a user who has an outer one."""
    logger = logging.getLogger("pytorch_lightning")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            # Lightning 2.6 calls what PyTorch 2.9 and newer deprecate.
            warnings.filterwarnings("ignore", message=".*LeafSpec")
            yield
    finally:
        logger.setLevel(level)
