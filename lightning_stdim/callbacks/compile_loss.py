"""A method's objective, compiled."""

from __future__ import annotations

from typing import Any, Literal

import torch
from lightning import Callback, LightningModule, Trainer

from lightning_stdim.errors import ConfigurationError

Mode = Literal["default", "reduce-overhead", "max-autotune"]


class CompileLoss(Callback):
    """Compile the method's loss, encoder included, with ``torch.compile``.

    The first step of each kind (training, validation, a batch of another size) takes from half a
    minute to a few; later ones may be faster, above all on a GPU, where a step's many small
    kernels take longer to launch than to run. ``mode="reduce-overhead"`` and
    ``backend="cudagraphs"`` record them as CUDA graphs and launch them at once. Losses and
    gradients stay the same but for rounding; Inductor draws other random numbers (the VAE's).
    Checkpoints, hyperparameters and results do not know of it.

    Args:
        backend: PyTorch's name of it: ``"inductor"`` fuses kernels and needs a C++ compiler on
            CPUs, ``"cudagraphs"`` only records them.
        mode: of Inductor, for the others None.

    Raises:
        ConfigurationError: there is no such backend here, or a mode for one that has none.
    """

    def __init__(self, backend: str = "inductor", mode: Mode | None = None) -> None:
        known = torch.compiler.list_backends(exclude_tags=())
        if backend not in known:
            raise ConfigurationError(
                f"there is no backend {backend!r} of torch.compile here: choose from "
                f"{', '.join(sorted(known))}"
            )
        if mode is not None and backend != "inductor":
            raise ConfigurationError(f"mode={mode!r} is Inductor's: {backend!r} has none")
        self.backend, self.mode = backend, mode

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Put the compiled loss before the method's own.

        Args:
            trainer: of the run.
            pl_module: the method.
            stage: of the trainer.

        Raises:
            ConfigurationError: it has no method ``loss``, as supervised training has none.
        """
        if not callable(getattr(type(pl_module), "loss", None)):
            raise ConfigurationError(
                f"CompileLoss compiles a method's loss(), and {type(pl_module).__name__} has none: "
                "leave it out of --trainer.callbacks"
            )
        method: Any = pl_module
        method.loss = torch.compile(method.loss, backend=self.backend, mode=self.mode)

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Give the method its own loss back, which can be pickled."""
        del pl_module.loss
