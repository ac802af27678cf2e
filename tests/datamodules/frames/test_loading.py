"""Frames that are loaded part by part, straight to a device, are those in memory."""

import pytest
import torch
from pytorch_lightning import Trainer

from lightning_stdim import AtariDataModule
from lightning_stdim.datamodules import store
from lightning_stdim.datamodules.collection.collect import collect
from lightning_stdim.datamodules.collection.settings import CollectionSettings
from lightning_stdim.datamodules.frames import loading
from lightning_stdim.datamodules.frames.loading import load_frames, load_in_parts
from lightning_stdim.errors import StoreError

needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
CPU = torch.device("cpu")
GPU = torch.device("cuda", 0)


@pytest.mark.parametrize("device", [CPU, pytest.param(GPU, marks=needs_gpu)])
@pytest.mark.parametrize("pixels", ["luma", "rgb"])
def test_parts_make_the_whole(root, monkeypatch, pixels, device):
    monkeypatch.setattr(loading, "PART", 128)
    path = collect(CollectionSettings("pong", steps=300, pixels=pixels), root=root, progress=False)
    expected = torch.from_numpy(store.read(path).frames)
    frames = load_in_parts(path, expected.shape, device)
    assert frames.device == device
    assert torch.equal(frames.cpu(), expected)


def test_a_file_that_has_become_shorter(root):
    path = collect(CollectionSettings("pong", steps=300), root=root, progress=False)
    with pytest.raises(StoreError, match="has 300 frames and had 400"):
        load_in_parts(path, (400, 210, 160), CPU)
    with pytest.raises(StoreError, match="something changed it"):
        load_frames(path, (400, 210, 160))


@needs_gpu
def test_what_does_not_fit_on_the_device_stays_in_memory(root, monkeypatch):
    monkeypatch.setattr(loading, "fits", lambda *_: False)
    path = collect(CollectionSettings("pong", steps=300), root=root, progress=False)
    frames = load_frames(path, (300, 210, 160), device=GPU)
    assert frames.device.type == "cpu"


@needs_gpu
def test_training_has_the_frames_on_the_device(small):
    data = AtariDataModule("pong", **small)
    data.trainer = Trainer(accelerator="gpu", devices=1, logger=False, enable_checkpointing=False)
    data.setup("fit")
    before = torch.cuda.memory_allocated()
    data.transfer_batch_to_device(torch.tensor([5, 9]), GPU, 0)
    assert torch.cuda.memory_allocated() - before < 10**7  # a batch, not the frames once more
    assert before > small["steps"] * 210 * 160
