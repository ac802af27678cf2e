"""One training step on made-up frames, which shows in a moment whether a model can be trained."""

from __future__ import annotations

import logging
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from typing import Any

import torch
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from pytorch_lightning import LightningDataModule, LightningModule, Trainer
from pytorch_lightning.utilities.seed import isolate_rng
from torch import nn
from torch.utils.data import DataLoader

from lightning_stdim.datamodules.batches import ProbeBatch, ProbeData, SequenceBatch
from lightning_stdim.datamodules.pixels import CHANNELS, Pixels, frame_shape
from lightning_stdim.errors import ConfigurationError, LightningStdimError, TrainingError
from lightning_stdim.probes.encode import encode
from lightning_stdim.utils.user_code import what_failed

FEW = 2
"""Number of samples in the batch that is tried first."""


def try_out(
    model: LightningModule,
    *,
    data: LightningDataModule | None = None,
    batch_size: int | None = None,
    **trainer: Any,
) -> None:
    """Encode made-up frames, and take one training and one validation step with them.

    This finds what is wrong with a model before frames are collected and anything is written. The
    model itself and the global random state are left as they were; a copy is tried. A model that
    cannot be copied is not tried.

    Args:
        model: a method, or any module that the command ``fit`` takes.
        data: the real run's data module, for a model that reads its attributes. It gives no frames.
        batch_size: number of samples in a batch of the real run; by default what the model asks
            for. A few samples are tried first, and then as many if the loss does not take so few.
        **trainer: arguments of the ``Trainer``, such as the device and the precision.

    Raises:
        EncoderError: the encoder fails on frames, or does not return float [B, D].
        ConfigurationError: the loss fails, or does not return a dict with ``"loss"``.
    """
    full = batch_size or int(getattr(model, "batch_size", 64))
    with isolate_rng(), _silently():
        for size in (FEW, full):
            try:
                twin = deepcopy(model)
            except Exception:  # some tensors and handles cannot be copied; the run itself will tell
                return
            try:
                _step(twin, data, size, trainer)
            except TrainingError:  # of noise, a loss may become infinite
                return
            except LightningStdimError:
                if size == full:
                    raise
            else:
                return


def try_encoder(encoder: nn.Module, pixels: Pixels) -> None:
    """Encode two made-up frames.

    Args:
        encoder: the encoder that is to be probed.
        pixels: kind of the frames.

    Raises:
        EncoderError: the encoder fails on frames, or does not return float [B, D].
        ConfigurationError: it takes other frames.
    """
    with isolate_rng():
        encode(encoder, _noise(FEW, *frame_shape(pixels)))


def _step(
    model: LightningModule, real: LightningDataModule | None, size: int, settings: dict[str, Any]
) -> None:
    data = MadeUpFrames(model, size, real)
    encoder = getattr(model, "encoder", None)
    if isinstance(encoder, nn.Module):
        try_encoder(encoder, data.pixels)
    try:
        trainer = Trainer(
            fast_dev_run=True,
            enable_progress_bar=False,
            enable_model_summary=False,
            plugins=[LightningEnvironment()],  # no part of a cluster's job
            **settings,
        )
    except Exception:  # the run's own trainer says what is wrong with these
        return
    try:
        trainer.fit(model, datamodule=data)
    except LightningStdimError:
        raise
    except Exception as error:  # whatever a user's code may raise
        of_bytes = re.search(r"\b(dtype|Byte|ByteTensor|uint8|floating point)\b", str(error))
        advice = "; frames are uint8, 0 to 255: begin with frames.float() / 255" if of_bytes else ""
        raise ConfigurationError(
            f"{type(model).__name__} fails to train on frames {data.described}: "
            f"{what_failed(error)}{advice}"
        ) from error


class MadeUpFrames(LightningDataModule):
    """Batches of noise in the format that a model asks for.

    Args:
        model: the model; its attributes are read as by ``AtariDataModule``.
        size: number of samples in a batch.
        real: the data module that gives all other attributes; None for none.
    """

    def __init__(
        self, model: LightningModule, size: int, real: LightningDataModule | None = None
    ) -> None:
        super().__init__()
        self._real = real
        self.pixels: Pixels = getattr(model, "pixels", "luma")
        self.stage = getattr(model, "data_stage", "pretrain")
        length = int(getattr(model, "sequence_length", 2))
        shape = frame_shape(self.pixels)
        channels = CHANNELS[self.pixels] * int(getattr(model, "frame_stack", 1))
        self.probe = ProbeData(
            game="pong",
            label_set="made up",
            variables=("one", "two"),
            categories={"one": (), "two": ()},
            dropped={},
            frames=_noise(size, *shape),
            labels=torch.arange(2 * size).reshape(size, 2) % 2,
            splits={split: torch.arange(size) for split in ("train", "val", "test")},
        )
        self.batch: SequenceBatch | ProbeBatch
        observations = _noise(size, channels, *shape[-2:])
        if self.stage == "probe":
            self.batch = ProbeBatch(observations, self.probe.labels)
        else:
            frames = _noise(length, size, channels, *shape[-2:])
            others = getattr(model, "needs_same_episode_frames", False)
            self.batch = SequenceBatch(frames, torch.arange(size), observations if others else None)
        self.described = list(self.batch.frames.shape)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__dict__.get("_real"), name)

    def probe_data(self) -> ProbeData:
        """Give labelled frames."""
        return self.probe

    def train_dataloader(self) -> DataLoader[Any]:
        """Give one batch."""
        return DataLoader([self.batch], batch_size=None)  # type: ignore[arg-type]

    def val_dataloader(self) -> DataLoader[Any]:
        """Give the same batch."""
        return self.train_dataloader()


def _noise(*shape: int) -> torch.Tensor:
    return torch.randint(0, 256, shape, dtype=torch.uint8)


@contextmanager
def _silently() -> Iterator[None]:
    """Keep Lightning from telling of a trainer that the user has not asked for."""
    loggers = [logging.getLogger(name) for name in ("pytorch_lightning", "lightning_fabric")]
    loggers += [logging.getLogger(f"{one.name}.utilities.rank_zero") for one in loggers]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
