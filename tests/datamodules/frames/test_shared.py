"""What happens where frames cannot be shared; two processes that do: test_trainer_distributed."""

import errno
from types import SimpleNamespace

import pytest
import torch

from lightning_stdim.datamodules import store
from lightning_stdim.datamodules.collection.collect import collect
from lightning_stdim.datamodules.collection.settings import CollectionSettings
from lightning_stdim.datamodules.frames import shared
from lightning_stdim.datamodules.frames.shared import share_frames


@pytest.fixture
def trainer():
    """The only rank of its node."""
    strategy = SimpleNamespace(broadcast=lambda name: name, barrier=lambda name: None)
    return SimpleNamespace(strategy=strategy, local_rank=0, node_rank=0)


@pytest.fixture(scope="module", params=["luma", "rgb"])
def path(request, root):
    return collect(
        CollectionSettings("pong", steps=300, pixels=request.param), root=root, progress=False
    )


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(shared, "FOLDER", tmp_path)
    yield
    assert list(tmp_path.iterdir()) == []


def test_the_frames_are_the_file_s(path, trainer):
    expected = torch.from_numpy(store.read(path).frames)
    assert torch.equal(share_frames(path, expected.shape, trainer), expected)


def test_no_memory(path, trainer, monkeypatch):
    monkeypatch.setattr(shared, "available_memory", lambda: 1_000_000)
    assert share_frames(path, (300, 210, 160), trainer) is None


def test_no_room(path, trainer, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(shared.os, "posix_fallocate", full)
    assert share_frames(path, (300, 210, 160), trainer) is None


def test_interrupted(path, trainer, monkeypatch):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(shared.store, "read_frames", interrupt)
    with pytest.raises(KeyboardInterrupt):
        share_frames(path, (300, 210, 160), trainer)


def test_no_such_folder(path, trainer, monkeypatch, tmp_path):
    monkeypatch.setattr(shared, "FOLDER", tmp_path / "nowhere")
    assert share_frames(path, (300, 210, 160), trainer) is None


def test_a_file_that_cannot_be_read(path, trainer, tmp_path_factory):
    damaged = tmp_path_factory.mktemp("damaged") / path.name
    damaged.write_bytes(path.read_bytes()[:-10])
    assert share_frames(damaged, (300, 210, 160), trainer) is None
