"""A method's objective, compiled."""

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
    minute to a few; later ones may be faster, above all on a GPU, where a step's many small
    kernels take longer to launch than to run. ``mode="reduce-overhead"`` and
    ``backend="cudagraphs"`` record them as CUDA graphs and launch them at once. Losses and
    gradients stay the same but for rounding. What has no loss of its own, such as supervised
    training, stays as it is, with a warning.

    Args:
        backend: PyTorch's name of it: ``"inductor"`` fuses kernels and needs a C++ compiler on
            CPUs, ``"cudagraphs"`` only records them.
        mode: of Inductor, for the others None.

    Raises:
        ConfigurationError: there is no such backend here, or a mode for one that has none.
    """

    def __init__(self, backend: str = "inductor", mode: Mode | None = None) -> None:
        if backend not in torch.compiler.list_backends(exclude_tags=()):
            usual = sorted({*torch.compiler.list_backends(), "cudagraphs"})
            raise ConfigurationError(
                f"there is no backend {backend!r} of torch.compile here: choose from "
                f"{', '.join(usual)}"
            )
        if mode is not None and backend != "inductor":
            raise ConfigurationError(f"mode={mode!r} is Inductor's: {backend!r} has none")
        self.backend, self.mode = backend, mode
        self._compiled: Callable[..., Any] | None = None

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Put the compiled loss before the method's own.

        Args:
            trainer: of the run.
            pl_module: the method.
            stage: of the trainer.

        Raises:
            ConfigurationError: gradients of several batches are to be added up, which CUDA graphs
                get wrong: a graph writes its gradients where the last ones are.
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
        if "loss" in vars(pl_module):  # another one came first: of a resumed run's configuration
            return
        method: Any = pl_module
        method.loss = self._compiled = torch.compile(
            method.loss, backend=self.backend, mode=self.mode
        )

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Give the method its own loss back, which can be pickled."""
        if self._compiled is not None and vars(pl_module).get("loss") is self._compiled:
            del pl_module.loss
        self._compiled = None

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        """Do so, too, when training ends with an error."""
        self.teardown(trainer, pl_module, "fit")
