"""The ``paper`` protocol: probes trained on the raw features with the published optimiser."""

from __future__ import annotations

import logging
import signal
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import torch
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from pytorch_lightning import Callback, LightningModule, Trainer
from torch import Tensor, nn

from lightning_stdim.callbacks import PerVariableEarlyStopping, PerVariableReduceLROnPlateau
from lightning_stdim.datamodules.batches import Split
from lightning_stdim.errors import ConfigurationError, TrainingError
from lightning_stdim.probes.features import ProbeFeatures
from lightning_stdim.probes.fused_adam import fused_adam
from lightning_stdim.probes.heads import NUM_CLASSES, LinearHeads, MLPHeads
from lightning_stdim.utils.progress_bar import progress_bar


@dataclass(frozen=True)
class PaperSettings:
    """Settings of the ``paper`` protocol; the defaults are the published ones.

    Source: Anand et al. 2019 (arXiv 1906.08226), section 5, and the defaults of the reference
    implementation. The defaults of ``restore`` and ``sampling`` differ; their other values are what
    the reference implementation does.

    Args:
        lr: Adam's initial learning rate.
        eps: Adam's epsilon.
        batch_size: number of frames per training step.
        max_epochs: largest number of epochs.
        patience: a variable's probe stops after this many epochs without better validation
            accuracy.
        plateau_patience: number of epochs without better validation accuracy that are tolerated
            before a variable's learning rate is lowered.
        plateau_factor: factor by which a learning rate is lowered, between 0 and 1.
        min_lr: lower bound of the learning rates.
        standardize: shift and scale the features to mean 0 and standard deviation 1 on the training
            split.
        restore: the weights that are scored, those of each variable's "best" epoch or of its "last"
            one, as in the reference implementation.
        sampling: "frames" uses every frame once per epoch and once per score. "episodes" is what
            the reference implementation does in training, validation and test: it draws an episode
            uniformly and then one of its frames, with replacement, and leaves out an incomplete
            batch.
        hidden: number of units of a hidden layer with ReLU in each variable's probe; 0 for the
            published linear probe.
        classes: the classes that a probe can predict: "all" 256 values of a byte, or for each
            variable those "observed" in training.
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
        self.plateau()  # checks the other values

    def plateau(self) -> PerVariableReduceLROnPlateau:
        """Make the callback of the learning-rate schedule.

        Returns:
            A new callback.

        Raises:
            ConfigurationError: a value is out of its range.
        """
        return PerVariableReduceLROnPlateau(
            patience=self.plateau_patience, factor=self.plateau_factor, min_lr=self.min_lr
        )


class FrozenProbe(LightningModule):
    """One head per variable, trained on features in memory.

    A training step of the trainer is a whole epoch: its "batch" is the order of the frames, and the
    module loops over minibatches itself. There are up to 55 000 minibatches for 35 000 training
    frames, and what a trainer adds to each would be a good part of their cost. The gradients are
    computed in closed form, hence the manual optimisation.

    The initial weights of a head and the order of its frames depend on the seed alone. So each head
    gets the weights that it would get if trained alone, up to rounding if it has a hidden layer.

    Args:
        data: features and labels of the three splits.
        settings: settings of the protocol.
        seed: random seed of the initialisation and of the order of the frames.
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
        """Make a loader of one batch per epoch, the order of the training frames."""
        return _Orders(lambda: self.order("train", self.current_epoch))

    def val_dataloader(self) -> _Orders:
        """Make a loader of one batch per epoch, the order of the validation frames."""
        return _Orders(lambda: self.order("val", self.current_epoch))

    def order(self, split: Split, epoch: int) -> Tensor:
        """Draw the frames of an epoch.

        Args:
            split: the split whose frames are drawn.
            epoch: number of the epoch, counted from 0.

        Returns:
            Positions in the split, int64 [n].
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
        """Train for one epoch.

        Args:
            order: positions of the frames in the order of their use, int64 [n].
            batch_idx: unused.
        """
        optimizer = self.optimizers(use_pl_optimizer=False)
        assert isinstance(optimizer, torch.optim.Optimizer)
        features, labels = self.data.features["train"], self.data.labels["train"]
        with fused_adam(self.heads, optimizer) as (columns, step):
            labels = labels[:, columns]
            for batch in torch.split(order, self.settings.batch_size):
                step(features[batch], labels[batch])

    def validation_step(self, order: Tensor, batch_idx: int) -> None:
        """Compute the validation accuracy of the heads that are still trained.

        Args:
            order: positions of the frames to score, int64 [n].
            batch_idx: unused.

        Raises:
            TrainingError: a weight is NaN or infinite.
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
        """Predict the labels of a split.

        Args:
            split: the split whose labels are predicted.
            columns: numbers of the A heads that predict; all V by default.

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
    """Train and test the probes of the ``paper`` protocol.

    Args:
        data: features and labels of the three splits.
        settings: settings of the protocol; by default the published ones.
        seed: random seed of the initialisation and of the order of the frames.
        progress: show a progress bar.

    Returns:
        The predictions for the test split, int64 [n, V]; the positions of the test frames that are
        scored, int64 [m]; and each variable's details as plain data: ``epochs``, the number of
        epochs of its training; ``best_epoch``, counted from 1; ``val_accuracy`` in that epoch; and
        ``final_lr``, the learning rate at the end.

    Raises:
        ConfigurationError: ``sampling`` is "episodes" and the episodes are not known.
        TrainingError: a weight became NaN or infinite.
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
        data: features and labels of the training and the validation split; the features are used as
            they are, even if ``settings.standardize`` is true.
        settings: settings of the protocol.
        seed: random seed of the initialisation and of the order of the frames.
        progress: show a progress bar.

    Returns:
        The probe with the weights to be scored, on the data's device, and the details that
        :func:`train_paper` returns.

    Raises:
        ConfigurationError: ``sampling`` is "episodes" and the episodes are not known.
        TrainingError: a weight became NaN or infinite.
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
            plugins=LightningEnvironment(),  # whatever scheduler or launcher started this process
            max_epochs=settings.max_epochs,
            num_sanity_val_steps=0,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            callbacks=[_ShowEpochs(update)],
        )
        handler = signal.getsignal(signal.SIGINT)
        try:
            trainer.fit(probe)
        except SystemExit:  # Lightning turns Ctrl-C into this, and ignores further ones
            signal.signal(signal.SIGINT, handler)
            raise KeyboardInterrupt from None
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
    """A loader of a single batch, the order of the frames in the current epoch."""

    def __init__(self, draw: Callable[[], Tensor]) -> None:
        self.draw = draw

    def __iter__(self) -> Iterator[Tensor]:
        yield self.draw()

    def __len__(self) -> int:
        return 1


class _ShowEpochs(Callback):
    """Show the number of finished epochs in a progress bar."""

    def __init__(self, update: Callable[[int, str], None]) -> None:
        self.update = update

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        assert isinstance(pl_module, FrozenProbe)
        self.update(trainer.current_epoch + 1, f"{len(pl_module.heads.active())} variables left")


@contextmanager
def _quiet_lightning() -> Iterator[None]:
    """Hide the inner trainer's remarks on hardware and loaders, as an outer one makes its own."""
    logger = logging.getLogger("pytorch_lightning")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            # Lightning 2.6 calls a function that PyTorch 2.9 and newer deprecate.
            warnings.filterwarnings("ignore", message=".*LeafSpec")
            yield
    finally:
        logger.setLevel(level)
