"""Dead units: those whose ReLU is zero for every frame."""

from __future__ import annotations

from typing import Any

from pytorch_lightning import Callback, LightningModule, Trainer
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from lightning_stdim.errors import ConfigurationError


class DeadUnits(Callback):
    """Log the share of dead units of every ReLU layer, each validation epoch.

    A unit is dead if its layer's output is zero for every validation frame. Neither it nor the
    weights before it get a gradient from such frames, so it rarely comes back. A unit is a channel
    of a convolution, dead if it is zero at every position, or one number of a vector.

    Logged: ``health/dead_units/<layer>`` for every ``nn.ReLU`` of the module by its name, such as
    ``encoder.local_layers.1``: a share, 0 to 1. The callback observes the validation's own passes
    and does not change the training.
    """

    def __init__(self) -> None:
        self._active: dict[str, Tensor] = {}  # by layer, which units have been positive, bool [C]
        self._hooks: list[RemovableHandle] = []

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin to observe the layers.

        Args:
            trainer: the trainer that validates.
            pl_module: the module to observe.

        Raises:
            ConfigurationError: the module has no ``nn.ReLU``.
        """
        layers = {n: m for n, m in pl_module.named_modules() if isinstance(m, nn.ReLU)}
        if not layers:
            raise ConfigurationError(
                f"DeadUnits finds no nn.ReLU in {type(pl_module).__name__}: leave the callback out"
            )
        self._active = {}
        self._hooks = [
            layer.register_forward_hook(self._observer(name)) for name, layer in layers.items()
        ]

    def _observer(self, name: str) -> Any:
        def observe(layer: nn.Module, inputs: Any, output: Tensor) -> None:
            others = [dim for dim in range(output.ndim) if dim != 1]  # frames and positions
            active = (output.detach() != 0).any(others)
            before = self._active.get(name)
            self._active[name] = active if before is None else active | before

        return observe

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Log the shares."""
        shares = {}
        for name, active in self._active.items():
            anywhere = trainer.strategy.reduce(active.float(), reduce_op="max")  # over ranks
            assert isinstance(anywhere, Tensor)
            shares[f"health/dead_units/{name}"] = 1 - anywhere.mean()
        # The values are the same on all ranks, but Lightning warns without sync_dist.
        pl_module.log_dict(shares, sync_dist=True)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Observe no longer."""
        self._stop()

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        """Observe no longer, should the validation fail."""
        self._stop()

    def _stop(self) -> None:
        for hook in self._hooks:
            hook.remove()
        self._hooks = []
