"""The configuration that ``fit``, ``validate``, ``test`` and ``predict`` start from."""

from __future__ import annotations

import argparse
import glob
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import yaml
from jsonargparse import get_loader, set_loader
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.cli import SaveConfigCallback

from lightning_stdim.catalogue import WITH_MODEL
from lightning_stdim.presets import merged, method_files, preset_paths
from lightning_stdim.runs.directory import CONFIGURATION, configuration_of
from lightning_stdim.utils.files import atomically
from lightning_stdim.utils.lightning_package import translate
from lightning_stdim.utils.user_code import dotted

YAML = "yaml, any spelling"
"""jsonargparse's name for YAML in which classes may be named by Lightning's other package, and in
which the model may be named as on the command line."""


def read_any_spelling(preset: str | None) -> None:
    """Register the parser mode :data:`YAML` with jsonargparse.

    Args:
        preset: the preset that the command starts from, which may hold settings for a method that
            a configuration names; None for none.
    """
    read = get_loader("yaml")
    set_loader(
        YAML,
        lambda text: _respelled(translate(read(text)), preset),
        exceptions=(yaml.YAMLError,),
    )


def _respelled(content: Any, preset: str | None) -> Any:
    """Rewrite a whole configuration in the spelling that the parser expects."""
    if not isinstance(content, dict) or not {"model", "data", "trainer"} & content.keys():
        return content  # the value of one option
    found = dict(content)
    if "method" in found:  # its name in configurations from before method_name
        found.setdefault("method_name", found.pop("method"))
    model = found.get("model")
    if isinstance(model, str) and model in WITH_MODEL:
        del found["model"]
        own: dict[str, Any] = {}
        for path in method_files(model, preset):
            own = merged(own, yaml.safe_load(path.read_text(encoding="utf-8")))
        return merged(own, found)
    if isinstance(model, str):
        found["model"] = dotted(model)
    elif isinstance(model, dict) and isinstance(model.get("class_path"), str):
        found["model"] = {**model, "class_path": dotted(model["class_path"])}
    return found


def given_options(argv: Sequence[str]) -> argparse.Namespace:
    """Read the options that decide which configuration the command starts from.

    They have to be known before Lightning's parser reads its defaults. That parser cannot read
    them first, because it refuses options that it does not know, such as ``--model.beta`` of a
    model that only the run's configuration names.

    Args:
        argv: the command and its options.

    Returns:
        ``config`` (whether there is one), ``preset`` (given as an option or in a file of
        ``--config``; the last one counts), ``ckpt_path`` and ``out``; None for one that is not
        given.

    Raises:
        ArgumentError: one of them lacks its value.
    """
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    parser.add_argument("-c", "--config", action="append", dest="sources", type=_preset_in)
    parser.add_argument("--preset", action="append", dest="sources")
    parser.add_argument("--ckpt_path")
    parser.add_argument("--out")
    given = parser.parse_known_args(argv)[0]
    sources = given.sources or []
    given.config = any(isinstance(source, tuple) for source in sources)
    named = [source[0] if isinstance(source, tuple) else source for source in sources]
    given.preset = next((name for name in reversed(named) if name is not None), None)
    return given


def _preset_in(config: str) -> tuple[str | None]:
    """Read which preset a configuration starts from; what is wrong with it the parser says."""
    try:
        content = yaml.safe_load(Path(config).read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError):
        return (None,)
    name = content.get("preset") if isinstance(content, dict) else None
    if name == Path(config).stem:  # a preset's file, which names itself
        return (config,)
    return (None if name is None else str(name),)


def default_configuration(given: argparse.Namespace) -> list[str]:
    """Choose the configurations whose values are the defaults of the other options.

    Args:
        given: the result of :func:`given_options`.

    Returns:
        Paths; values in later files take the place of those in earlier ones. They are the
        configuration of the run that the command goes on with; or else the files of the preset that
        is named; or else, if there is no ``--config``, those of the laptop preset.

    Raises:
        ConfigurationError: there is no such preset.
    """
    if (own := configuration_of(given.out, given.ckpt_path)) is not None:
        return [str(own)]
    preset = given.preset or (None if given.config else "laptop")
    return [str(path) for path in preset_paths(preset)] if preset else []


def as_default_files(paths: Sequence[str | Path]) -> list[str]:
    """Write paths as jsonargparse wants those of files with defaults, which it takes as patterns.

    Args:
        paths: the files. Each is read here, since the parser silently goes without one that it
            cannot read.

    Returns:
        For each a pattern that matches the file alone.

    Raises:
        OSError: a file cannot be read.
    """
    for path in paths:
        Path(path).read_bytes()
    return [glob.escape(str(Path(path).absolute())) for path in paths]


class SaveRunConfiguration(SaveConfigCallback):
    """Writes the configuration to the run's directory; Lightning's class, to the first logger's."""

    def save_config(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Write ``config.yaml``; see Lightning's method of this name."""
        config = self.config.clone()
        # Where a part of the run began is no setting. As a --config it would replace a --ckpt_path.
        config.pop("ckpt_path", None)
        with atomically(Path(trainer.default_root_dir) / CONFIGURATION) as temporary:
            self.parser.save(config, temporary, skip_none=False, multifile=False)


def run_options(
    *,
    out: str | None = None,
    preset: str | None = None,
    method_name: str | None = None,
    protocols: str = "paper,converged",
    controls: bool = True,
    keep: Literal["best", "last"] = "best",
    variant: str = "",
    run_key: str | None = None,
    snapshots: str | int | list[int] = "",
) -> None:
    """Options of the run as a whole.

    Args:
        out: directory of the run, which has to be new or empty, unless --ckpt_path goes on with the
            run in it; by default runs/<game>-<model>-seed<seed>, with a number appended if that is
            taken.
        preset: name of a preset (smoke, laptop, laptop-bf16, paper, challenge or challenge-bf16) or
            a YAML file, whose settings hold for all options that are not given; laptop, unless
            there is a --config. A run that goes on keeps its own.
        method_name: what the method is called in results and tables; by default the model's own
            name. The method itself is chosen with --model.
        protocols: names of the probe protocols, separated by commas: paper, converged, and
            challenge, the challenge report's.
        controls: also train probes on shuffled labels, as a control; this takes two fifths of the
            converged protocol's time.
        keep: weights of the encoder that is probed: the best by the method's own criterion, or the
            last.
        variant: your own words for what differs from the preset, stored with the results and shown
            in tables; by default, how the frames differ from the protocol's.
        run_key: what differs from the preset, as JSON. The command benchmark sets it for its runs;
            you need not set it.
        snapshots: numbers of optimiser steps after which the weights are kept, separated by commas,
            such as 0,1000,2000,4000, in the run's folder snapshots; 0 is before the first one. The
            command curve draws F1 against them.
    """
