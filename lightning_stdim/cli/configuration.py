"""Which configurations ``fit`` and its siblings read, and how."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import yaml
from jsonargparse import get_loader, set_loader

from lightning_stdim.presets import preset_path
from lightning_stdim.runs.directory import configuration_of
from lightning_stdim.utils.lightning_package import translate

YAML = "yaml, either package"
"""jsonargparse's name for YAML in which classes may be named by Lightning's other package."""


def read_either_package() -> None:
    """Teach jsonargparse the mode :data:`YAML`."""
    read = get_loader("yaml")
    set_loader(YAML, lambda text: translate(read(text)), exceptions=(yaml.YAMLError,))


def given_options(argv: Sequence[str]) -> argparse.Namespace:
    """Read the options that decide which configuration all others change.

    They have to be known before Lightning's parser reads its defaults, and it refuses what it does
    not know, such as ``--model.beta`` of a model that the run's configuration names.

    Args:
        argv: the command and its options.

    Returns:
        ``config``, a list, ``ckpt_path`` and ``out``; None where they are not given.

    Raises:
        ArgumentError: one of them lacks its value.
    """
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    parser.add_argument("-c", "--config", action="append")
    parser.add_argument("--ckpt_path")
    parser.add_argument("--out")
    return parser.parse_known_args(argv)[0]


def default_configuration(given: argparse.Namespace) -> list[str]:
    """Choose the configuration that the options change.

    Args:
        given: what :func:`given_options` gave.

    Returns:
        The path of that of the run that the command goes on with, or of the laptop preset. None
        beside a ``--config``: it stands alone, and nothing of the preset leaks into it.
    """
    if given.config:
        return []
    return [str(configuration_of(given.out, given.ckpt_path) or preset_path("laptop"))]


def run_options(
    *,
    out: str | None = None,
    preset: str | None = None,
    method: str | None = None,
    controls: bool = True,
    variant: str = "",
    run_key: str | None = None,
) -> None:
    """Options of the run as a whole.

    Args:
        out: directory of the run; by default runs/<game>-<model>-seed<seed>.
        preset: name of the preset, stored with the results.
        method: name of the method in results and tables; by default the model's own name.
        controls: also probe with shuffled labels, which takes two fifths of the converged
            protocol's time.
        variant: your own words for what differs from the preset, stored with the results and shown
            in tables; by default, how the frames differ from the protocol's.
        run_key: what differs from the preset, as JSON; the command benchmark gives it to its runs.
    """
