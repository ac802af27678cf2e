"""What a checkpoint must hold beside Lightning's own state, so that training goes on exactly."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from pytorch_lightning import Callback, LightningModule, Trainer

KEY = "exact_resume"
"""The name of this state in checkpoints."""


class ExactResume(Callback):
    """Have a resumed run draw the random numbers and log the means of an uninterrupted one.

    A checkpoint may be written within an epoch. Lightning restores the weights, the optimisers and
    the number of batches done, and the loader its place in the epoch. This callback adds, for every
    rank:

    * the states of the random number generators, and of the module's own ``generator`` if it has
      one;
    * within an epoch, the sums behind the means that are logged at its end, from the module's
      ``epoch_means["train"]``;
    * the gradients, if they are being accumulated over batches.

    A checkpoint of another number of devices gives what does not depend on that number: the means.
    """

    def __init__(self) -> None:
        self._restored: list[dict[str, Any]] = []
        self._epoch_begins = False

    def on_save_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Add the state of every rank to a checkpoint."""
        own: dict[str, Any] = {"random": _random_states(pl_module)}
        if within_epoch(checkpoint):
            if means := getattr(pl_module, "epoch_means", {}).get("train"):
                own["means"] = means.sums()
            if trainer.fit_loop._should_accumulate():
                own["gradients"] = {
                    name: parameter.grad.cpu()
                    for name, parameter in pl_module.named_parameters()
                    if parameter.grad is not None
                }
        ranks = [own] * trainer.world_size
        if trainer.world_size > 1:
            dist.all_gather_object(ranks, own)
        checkpoint[KEY] = ranks

    def on_load_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Keep the state until training starts, since the trainer itself draws a number first."""
        self._restored = checkpoint.get(KEY, [])
        self._epoch_begins = not within_epoch(checkpoint)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Restore the state."""
        if self._epoch_begins and trainer.fit_loop.restarting:
            _begin_epoch(trainer)
        self._epoch_begins = False
        ranks, self._restored = self._restored, []
        if not ranks:
            return
        if "means" in ranks[0]:
            mine = [state["means"] for state in ranks[trainer.global_rank :: trainer.world_size]]
            none = {name: torch.zeros_like(sums) for name, sums in ranks[0]["means"].items()}
            pl_module.epoch_means["train"].restore(  # type: ignore[index, union-attr]
                pl_module, {k: sum((m[k] for m in mine), start=v) for k, v in none.items()}
            )
        if len(ranks) != trainer.world_size:
            return
        own = ranks[trainer.global_rank]
        for name, parameter in pl_module.named_parameters():
            if name in own.get("gradients", {}):
                parameter.grad = own["gradients"][name].to(parameter.device)
        _restore_random_states(pl_module, own["random"])


def within_epoch(checkpoint: Mapping[str, Any]) -> bool:
    """Tell whether a checkpoint was written before an epoch of training was over.

    Args:
        checkpoint: its contents.

    Returns:
        True if the epoch's end was still to come.
    """
    loop = checkpoint.get("loops", {}).get("fit_loop", {})
    progress = loop.get("epoch_progress", {}).get("current", {"started": 0, "processed": 0})
    return bool(progress["started"] > progress["processed"])


def _begin_epoch(trainer: Trainer) -> None:
    """Begin an epoch after a checkpoint of an epoch's end.

    With ``max_steps``, Lightning 2.6 ends the finished epoch a second time, which counts as the
    next one.
    """
    loop = trainer.fit_loop
    loop._restarting = loop.epoch_loop.restarting = False
    loop.reset_restart_stage()
    for progress in (loop.epoch_progress.current, loop.epoch_progress.total):
        progress.completed = progress.processed  # type: ignore[attr-defined]


def _random_states(module: LightningModule) -> dict[str, Any]:
    """Read the states, as plain values and tensors, which a checkpoint may hold."""
    name, key, *rest = np.random.get_state()  # noqa: NPY002  a loss may draw from the global one
    states = {
        "torch": torch.get_rng_state(),
        "python": random.getstate(),
        "numpy": (name, torch.from_numpy(np.asarray(key, dtype=np.int64)), *rest),
    }
    if module.device.type == "cuda":
        states["cuda"] = torch.cuda.get_rng_state(module.device)
    if isinstance(generator := getattr(module, "generator", None), torch.Generator):
        states["module"] = generator.get_state()
    return states


def _restore_random_states(module: LightningModule, states: dict[str, Any]) -> None:
    name, key, *rest = states["numpy"]
    np.random.set_state((name, key.numpy().astype(np.uint32), *rest))  # noqa: NPY002
    random.setstate(states["python"])
    torch.set_rng_state(states["torch"])
    if "cuda" in states and module.device.type == "cuda":
        torch.cuda.set_rng_state(states["cuda"], module.device)
    if "module" in states:
        generator = torch.Generator(module.device)
        generator.set_state(states["module"])
        setattr(module, "generator", generator)  # noqa: B010  not every module declares it
