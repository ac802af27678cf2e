"""A run of ``fit``, read back from its directory: what it trained, and how it is probed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import yaml
from pytorch_lightning import seed_everything
from pytorch_lightning.utilities.seed import isolate_rng
from torch import nn

from lightning_stdim.datamodules.atari import AtariDataModule
from lightning_stdim.errors import ConfigurationError, EncoderError, StoreError
from lightning_stdim.presets import preset_name
from lightning_stdim.probes import (
    USUAL_PROTOCOLS,
    ChallengeSettings,
    ConvergedSettings,
    PaperSettings,
    check_protocols,
)
from lightning_stdim.probes.evaluate import ProbeProtocol
from lightning_stdim.runs.directory import CONFIGURATION
from lightning_stdim.runs.key import RunKey
from lightning_stdim.runs.naming import class_name, make_key
from lightning_stdim.runs.results import FILE, Results, read_results
from lightning_stdim.runs.snapshots import snapshots_of
from lightning_stdim.utils.lightning_package import translate
from lightning_stdim.utils.user_code import import_from

PROBE_SETTINGS = {
    "paper": PaperSettings,
    "converged": ConvergedSettings,
    "challenge": ChallengeSettings,
}
"""For each probe protocol the class of its settings, which a configuration has under its name."""


@dataclass(frozen=True)
class TrainedRun:
    """A directory of ``fit``, whether or not the run has finished.

    Attributes:
        folder: the directory.
        key: the run's identity.
        preset: name of its preset; None if there was none.
        seed: the seed of its initial weights, its training and its probes.
        data: the frames that its encoder is probed on.
        protocols: the probe protocols.
        probes: for each protocol its settings.
        results: the content of its results file; None if it has not finished.
        model: path and arguments of the class that was trained.
    """

    folder: Path
    key: RunKey
    preset: str | None
    seed: int
    data: AtariDataModule
    protocols: tuple[ProbeProtocol, ...]
    probes: Mapping[str, Any]
    results: Results | None
    model: tuple[str, Mapping[str, Any]]

    @classmethod
    def read(cls, folder: Path, *, protocols: Sequence[str] = (), **changes: Any) -> Self:
        """Read a run's configuration, also one that an older version of this package wrote.

        Options that the configuration lacks have the values that they have by default.

        Args:
            folder: the run's directory.
            protocols: names of the probe protocols; by default the run's own.
            **changes: arguments of the data module in place of the run's; None for the run's.

        Returns:
            The run.

        Raises:
            StoreError: there is no configuration, or it cannot be read.
            ConfigurationError: it is not one of a run of ``fit``, or its classes cannot be made.
        """
        path = folder / CONFIGURATION
        try:
            settings = translate(yaml.safe_load(path.read_text("utf-8")))
        except FileNotFoundError:
            raise StoreError(f"{folder} is no directory of a run of fit: no {path}") from None
        except (OSError, ValueError, yaml.YAMLError) as error:
            raise StoreError(f"cannot read {path}: {error}") from error
        if not isinstance(settings, dict) or not {"model", "data"} <= set(settings):
            raise ConfigurationError(f"{path} is not the configuration of a run of fit")
        seed = settings.get("seed_everything")
        if type(seed) is not int:
            raise ConfigurationError(f"{path} has no number as seed_everything, but {seed!r}")
        try:
            given = {name: value for name, value in changes.items() if value is not None}
            frames = {**settings["data"], "stage": "probe", **given}
            if frames.get("seed") is None:
                frames["seed"] = seed
            data = AtariDataModule(**frames)
            probes = {
                name: kind(**_with_tuples(settings.get(name, {})))
                for name, kind in PROBE_SETTINGS.items()
            }
            model = settings["model"]["class_path"], settings["model"].get("init_args", {})
        except (TypeError, KeyError) as error:
            raise ConfigurationError(f"{path}: {error}") from error
        preset = settings.get("preset")
        results = read_results(folder) if (folder / FILE).is_file() else None
        return cls(
            folder=folder,
            key=RunKey.of_record(results)
            if results
            else make_key(
                game=data.game,
                method=settings.get("method_name")
                or settings.get("method")  # its name in older runs
                or class_name(import_from(model[0])),
                seed=seed,
                run_key=settings.get("run_key"),
                variant=settings.get("variant") or "",
                variation=data.variation,
            ),
            preset=preset and preset_name(preset),
            seed=seed,
            data=data,
            protocols=tuple(
                check_protocols(protocols or settings.get("protocols") or USUAL_PROTOCOLS)
            ),
            probes=probes,
            results=results,
            model=model,
        )

    @property
    def pretrains(self) -> bool:
        """Whether the method learns from frames without labels."""
        return getattr(import_from(self.model[0]), "data_stage", None) == "pretrain"

    def initial_encoder(self) -> nn.Module:
        """Make the encoder that training started from, as ``fit`` makes it.

        The global random state is left as it was found.

        Returns:
            The encoder, on the CPU, in evaluation mode.

        Raises:
            ConfigurationError: the class of the model cannot be imported, or does not take its
                arguments.
            EncoderError: the model has no encoder that all variables share.
        """
        path, arguments = self.model
        with isolate_rng():
            seed_everything(self.seed, verbose=False)
            try:
                model = import_from(path)(**arguments)
            except TypeError as error:
                raise ConfigurationError(f"{path} does not take {arguments}: {error}") from error
        encoder: nn.Module | None = getattr(model, "encoder", None)
        if encoder is None:
            raise EncoderError(f"{path} in {self.folder} has no encoder to probe")
        pixels: Any = getattr(model, "pixels", "luma")
        encoder.pixels = pixels
        return encoder.eval()


def _with_tuples(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Make tuples of lists, since YAML has no tuples."""
    return {
        name: tuple(value) if isinstance(value, list) else value for name, value in settings.items()
    }


def runs_with_snapshots(folder: Path) -> list[Path]:
    """Find the runs of ``fit`` that a directory stands for.

    Args:
        folder: a run's directory, or one with runs below it, such as a benchmark's.

    Returns:
        The run's directory itself, or those below that have snapshots, ordered by path.

    Raises:
        StoreError: it is neither.
    """
    if (folder / CONFIGURATION).is_file():
        return [folder]
    found = [path.parent for path in folder.rglob(CONFIGURATION) if snapshots_of(path.parent)]
    if not found:
        raise StoreError(
            f"{folder} is no directory of a run of fit, and has none below it with snapshots: "
            "train with fit --snapshots 1000,2000,4000"
        )
    return sorted(found)
