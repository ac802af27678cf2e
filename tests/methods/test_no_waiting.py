"""A training step needs no value from the device, and nothing that lies on another one.

On a GPU either would have host and device wait for each other in every step. PyTorch's ``meta``
device holds no values and mixes with no other: what asks for a value, or brings a tensor of its own
from the CPU, fails there.
"""

from contextlib import nullcontext
from functools import partial

import pytest
import torch

from lightning_stdim.datamodules.batches import SequenceBatch
from lightning_stdim.datamodules.samplers import other_frames
from lightning_stdim.datamodules.stacking import observations
from lightning_stdim.probes.heads import LinearHeads, MLPHeads
from tests.methods.test_distributed import METHODS

BATCH = 6


@pytest.fixture(autouse=True)
def _without_autocast(monkeypatch):
    """Autocast does not know this device."""
    monkeypatch.setattr(torch, "is_autocast_enabled", lambda *_: False)
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: nullcontext())


@pytest.mark.parametrize("name", METHODS)
def test_a_step(name):
    method = METHODS[name]().to("meta")
    frames = torch.empty(
        (method.sequence_length, BATCH, 1, 210, 160), dtype=torch.uint8, device="meta"
    )
    terms = method.loss(SequenceBatch(frames, torch.empty(BATCH, device="meta"), frames[0]))
    terms["loss"].backward()
    assert {value.device.type for value in terms.values()} == {"meta"}
    if hasattr(method, "follow"):
        method.follow()


@pytest.mark.parametrize("kind", [LinearHeads, partial(MLPHeads, hidden=4)])
def test_a_probe_s_step(kind):
    heads = kind(["a", "b"], 5, classes=torch.ones(2, 256, dtype=torch.bool)).to("meta")
    layers = zip(*(head.parameters() for head in heads.heads), strict=True)
    together = [torch.stack(layer).detach() for layer in layers]
    features = torch.empty((BATCH, 5), device="meta")
    labels = torch.empty((BATCH, 2), dtype=torch.int64, device="meta")
    out = [torch.empty_like(layer) for layer in together]
    heads.gradients(together, features, labels, heads.excluded, out=out)


@pytest.mark.parametrize("stack", [1, 4])
def test_gathering_a_batch(stack):
    frames = torch.empty((100, 210, 160), dtype=torch.uint8, device="meta")
    start, length, anchors = torch.empty((3, BATCH), dtype=torch.int64, device="meta")
    times = anchors + torch.arange(2, device="meta")[:, None]
    assert observations(frames, times, start, stack).shape == (2, BATCH, stack, 210, 160)
    chance = torch.empty(BATCH, dtype=torch.float64, device="meta")
    assert other_frames(anchors, start, length, chance).shape == (BATCH,)
