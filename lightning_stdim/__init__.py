"""Pretrain state representations on Atari and measure them on the AtariARI benchmark.

The names below are imported when they are first used, so that ``import lightning_stdim`` costs
nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lightning_stdim.checkpoints import load_encoder as load_encoder
    from lightning_stdim.datamodules.atari import AtariDataModule as AtariDataModule
    from lightning_stdim.datamodules.labels import ram2label as ram2label
    from lightning_stdim.datamodules.wrapper import AtariARIWrapper as AtariARIWrapper
    from lightning_stdim.encoders import NatureEncoder as NatureEncoder
    from lightning_stdim.methods import STDIM as STDIM
    from lightning_stdim.methods import RandomCNN as RandomCNN
    from lightning_stdim.methods import SSLMethod as SSLMethod
    from lightning_stdim.probes import Supervised as Supervised
    from lightning_stdim.probes import evaluate_encoder as evaluate_encoder

__version__ = "0.1.0"

_HOME = {
    "AtariARIWrapper": "datamodules.wrapper",
    "AtariDataModule": "datamodules.atari",
    "NatureEncoder": "encoders",
    "RandomCNN": "methods",
    "SSLMethod": "methods",
    "STDIM": "methods",
    "Supervised": "probes",
    "evaluate_encoder": "probes",
    "load_encoder": "checkpoints",
    "ram2label": "datamodules.labels",
}
__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return [*globals(), *_HOME]
