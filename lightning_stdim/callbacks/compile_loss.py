"""Compilation of a method's loss with ``torch.compile``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.utilities import rank_zero_warn

from lightning_stdim.errors import ConfigurationError

Mode = Literal["default", "reduce-overhead", "max-autotune"]


class CompileLoss(Callback):
    """Compile the method's loss, encoder included, with ``torch.compile``.

    The first step of each kind (training, validation, a batch of another size) takes from half a
    minute to a few minutes. Later steps may be faster, above all on a GPU, where the many small
    kernels of a step take longer to launch than to run. ``mode="reduce-overhead"`` and
    ``backend="cudagraphs"`` record the kernels as CUDA graphs and launch them at once. Losses and
    gradients stay the same up to rounding. A module without a ``loss`` method, such as
    :class:`~lightning_stdim.probes.Supervised`, is not compiled, and a warning says so.

    Args:
        backend: backend of ``torch.compile``. ``"inductor"`` fuses kernels, and needs a C++
            compiler on CPUs; ``"cudagraphs"`` only records them.
        mode: mode of the backend ``"inductor"``; other backends have none.

    Raises:
        ConfigurationError: the backend does not exist here, or has no modes and one is given.
    """

    def __init__(self, backend: str = "inductor", mode: Mode | None = None) -> None:
        if backend not in torch.compiler.list_backends(exclude_tags=()):
            usual = sorted({*torch.compiler.list_backends(), "cudagraphs"})
            raise ConfigurationError(
                f"there is no backend {backend!r} of torch.compile here: choose from "
                f"{', '.join(usual)}"
            )
        if mode is not None and backend != "inductor":
            raise ConfigurationError(
                f"mode={mode!r} is for the backend 'inductor': leave it out for {backend!r}"
            )
        self.backend, self.mode = backend, mode
        self._compiled: Callable[..., Any] | None = None

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Replace the method's loss by the compiled one.

        Args:
            trainer: the trainer of the run.
            pl_module: the method.
            stage: the trainer's task: ``"fit"``, ``"validate"``, ``"test"`` or ``"predict"``.

        Raises:
            ConfigurationError: gradients are to be accumulated over batches with CUDA graphs. A
                graph overwrites the gradients of the batch before.
        """
        graphs = self.backend == "cudagraphs" or self.mode in ("reduce-overhead", "max-autotune")
        if graphs and trainer.accumulate_grad_batches > 1:
            raise ConfigurationError(
                f"trainer.accumulate_grad_batches={trainer.accumulate_grad_batches} does not go "
                "with CUDA graphs, which would get the gradients wrong: use mode=default"
            )
        if not callable(getattr(type(pl_module), "loss", None)):
            rank_zero_warn(f"CompileLoss: {type(pl_module).__name__} has no loss to compile")
            return
        if "loss" in vars(pl_module):  # compiled already: a resumed run can have two such callbacks
            return
        method: Any = pl_module
        method.loss = self._compiled = torch.compile(
            method.loss, backend=self.backend, mode=self.mode
        )

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Restore the method's own loss, which can be pickled."""
        if self._compiled is not None and vars(pl_module).get("loss") is self._compiled:
            del pl_module.loss
        self._compiled = None

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        """Restore the method's own loss when training ends with an error, too."""
        self.teardown(trainer, pl_module, "fit")
