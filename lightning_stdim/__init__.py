"""Pretrain state representations on Atari and measure them on the AtariARI benchmark.

The names below are imported when they are first used, so that ``import lightning_stdim`` costs
nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from lightning_stdim._version import __version__ as __version__

if TYPE_CHECKING:
    from lightning_stdim.datamodules.atari import AtariDataModule as AtariDataModule
    from lightning_stdim.datamodules.emulator.gymnasium_wrapper import (
        AtariARIWrapper as AtariARIWrapper,
    )
    from lightning_stdim.datamodules.labels.annotations import ram2label as ram2label
    from lightning_stdim.encoders import NatureEncoder as NatureEncoder
    from lightning_stdim.encoders.pretrained import load_encoder as load_encoder
    from lightning_stdim.methods import STDIM as STDIM
    from lightning_stdim.methods import RandomCNN as RandomCNN
    from lightning_stdim.methods import SSLMethod as SSLMethod
    from lightning_stdim.probes import Supervised as Supervised
    from lightning_stdim.probes import evaluate_encoder as evaluate_encoder

_HOME = {
    "AtariARIWrapper": "datamodules.emulator.gymnasium_wrapper",
    "AtariDataModule": "datamodules.atari",
    "NatureEncoder": "encoders",
    "RandomCNN": "methods",
    "SSLMethod": "methods",
    "STDIM": "methods",
    "Supervised": "probes",
    "evaluate_encoder": "probes",
    "load_encoder": "encoders.pretrained",
    "ram2label": "datamodules.labels",
}
__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return [*globals(), *_HOME]
