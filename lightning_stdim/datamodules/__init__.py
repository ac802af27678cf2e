"""Atari frames: emulator, labels, store, samplers and the data module."""

if __name__ != "lightning_stdim.datamodules":
    # The checkout's top-level link would make a second copy of every class.
    raise ImportError(
        "import lightning_stdim.datamodules: the top-level datamodules is only a link"
    )

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lightning_stdim.datamodules.atari import AtariDataModule as AtariDataModule

__all__ = ["AtariDataModule"]


def __getattr__(name: str) -> Any:
    # Late, because the processes that collect import this package and need no PyTorch.
    if name == "AtariDataModule":
        from lightning_stdim.datamodules.atari import AtariDataModule

        return AtariDataModule
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
