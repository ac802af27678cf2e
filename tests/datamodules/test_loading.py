"""Frames that are loaded straight to a GPU are those in memory."""

import pytest
import torch

from lightning_stdim.datamodules import loading, store
from lightning_stdim.datamodules.collect import collect
from lightning_stdim.datamodules.loading import load_frames

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")


@pytest.mark.parametrize("pixels", ["luma", "rgb"])
def test_frames_go_to_the_device_part_by_part(root, monkeypatch, pixels):
    monkeypatch.setattr(loading, "PART", 128)
    path = collect("pong", steps=300, pixels=pixels, root=root, progress=False)
    expected = torch.from_numpy(store.read(path).frames)
    device = torch.device("cuda", 0)
    frames = load_frames(path, expected.shape, device=device)
    assert isinstance(frames, torch.Tensor)
    assert frames.device == device
    assert torch.equal(frames.cpu(), expected)


def test_frames_that_do_not_fit_stay_in_memory(root, monkeypatch):
    monkeypatch.setattr(loading.torch.cuda, "mem_get_info", lambda device: (1000, 1000))
    path = collect("pong", steps=300, root=root, progress=False)
    frames = load_frames(path, (300, 210, 160), device=torch.device("cuda", 0))
    assert frames.device.type == "cpu"
