"""A training step needs no value from the device, and sends nothing there.

On a GPU either would have host and device wait for each other in every step. PyTorch's ``meta``
device holds no values: what asks for one fails there. What would be copied to a GPU, such as a list
of indices, is told by :func:`nothing_from_the_host`.
"""

from contextlib import contextmanager, nullcontext
from functools import partial

import pytest
import torch
from pytorch_lightning import Trainer
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from lightning_stdim.datamodules.batches import ProbeBatch, SequenceBatch
from lightning_stdim.probes import Supervised
from lightning_stdim.probes.heads import LinearHeads, MLPHeads
from tests.methods.test_distributed import METHODS

BATCH = 6


class OneDevice(TorchDispatchMode):
    """Refuses operations of device tensors with the host's, but for single numbers."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        tensors = [one for one in tree_leaves((args, kwargs, result)) if isinstance(one, Tensor)]
        devices = {one.device.type for one in tensors if one.ndim or one.device.type == "meta"}
        assert len(devices) < 2, f"{func} takes tensors of the host to the device"
        return result


class NoLists(TorchFunctionMode):
    """Refuses lists as indices, which PyTorch sends to the device unseen."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        if func in (Tensor.__getitem__, Tensor.__setitem__):
            index = args[1] if isinstance(args[1], tuple) else (args[1],)
            assert not any(isinstance(one, list) for one in index), f"a list of indices: {index}"
        return func(*args, **(kwargs or {}))


@contextmanager
def nothing_from_the_host():
    with OneDevice(), NoLists():
        yield


@pytest.mark.parametrize(
    "send",
    [
        lambda x: x[:, [0, 2]],
        lambda x: x[:, torch.tensor([0, 2])],
        lambda x: x[torch.ones(BATCH, dtype=torch.bool)],
        lambda x: x + torch.ones(3),
        lambda x: torch.tensor([1.0, 2.0]).to(x.device),
        lambda x: x.cpu(),
        lambda x: x.sum().item(),
        lambda x: bool(x.any()),
    ],
)
def test_what_is_sent_is_told(send):
    with (
        pytest.raises((AssertionError, RuntimeError)),
        nothing_from_the_host(),
    ):
        send(torch.empty((BATCH, 3), device="meta"))


@pytest.fixture(autouse=True)
def _without_autocast(monkeypatch):
    """Autocast does not know this device."""
    monkeypatch.setattr(torch, "is_autocast_enabled", lambda *_: False)
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: nullcontext())


@pytest.mark.parametrize("name", METHODS)
def test_a_step(name, monkeypatch):
    method = METHODS[name]().to("meta")
    frames = torch.empty(
        (method.sequence_length, BATCH, 1, 210, 160), dtype=torch.uint8, device="meta"
    )
    batch = SequenceBatch(frames, torch.empty(BATCH, device="meta"), frames[0])
    take_steps(method, batch, monkeypatch)
    if hasattr(method, "follow"):
        with nothing_from_the_host():
            method.update_target()


def take_steps(module, batch, monkeypatch):
    """Take two training steps; in an epoch's first one the metrics are made."""
    module.trainer = Trainer(accelerator="cpu", logger=False)
    monkeypatch.setattr(module, "log", lambda *_, **__: None)
    module.training_step(batch, 0)
    with nothing_from_the_host():
        loss = module.training_step(batch, 1)
        loss.backward()
    assert loss.device.type == "meta"


def test_a_supervised_step(monkeypatch):
    module = Supervised()
    module.heads = LinearHeads(["a", "b", "c"], 256)
    module.heads.heads[1].requires_grad_(False)  # stopped
    frames = torch.empty((BATCH, 1, 210, 160), dtype=torch.uint8, device="meta")
    labels = torch.empty((BATCH, 3), dtype=torch.int64, device="meta")
    take_steps(module.to("meta"), ProbeBatch(frames, labels), monkeypatch)


@pytest.mark.parametrize("kind", [LinearHeads, partial(MLPHeads, hidden=4)])
def test_a_probe_s_step(kind):
    heads = kind(["a", "b"], 5, classes=torch.ones(2, 256, dtype=torch.bool)).to("meta")
    layers = zip(*(head.parameters() for head in heads.heads), strict=True)
    together = [torch.stack(layer).detach() for layer in layers]
    features = torch.empty((BATCH, 5), device="meta")
    labels = torch.empty((BATCH, 2), dtype=torch.int64, device="meta")
    out = [torch.empty_like(layer) for layer in together]
    with nothing_from_the_host():
        heads.gradients(together, features, labels, heads.excluded, out=out)
