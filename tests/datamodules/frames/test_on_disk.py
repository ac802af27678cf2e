"""Frames that stay on disk are the frames in memory, only slower."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import pytorch_lightning
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from lightning_stdim.datamodules import store
from lightning_stdim.datamodules.atari import AtariDataModule
from lightning_stdim.datamodules.collection.collect import collect
from lightning_stdim.datamodules.collection.settings import CollectionSettings
from lightning_stdim.datamodules.frames import loading
from lightning_stdim.datamodules.frames.on_disk import FramesOnDisk
from lightning_stdim.encoders import NatureEncoder
from lightning_stdim.errors import StoreError
from lightning_stdim.methods import STDIM
from lightning_stdim.probes.encode import encode
from tests.trainers import quiet

CPU = torch.device("cpu")


@pytest.fixture
def no_memory(monkeypatch) -> list[str]:
    """Leave no memory for frames; collect what is said about it."""
    said: list[str] = []
    monkeypatch.setattr(loading, "available_memory", lambda: 10_000_000)
    monkeypatch.setattr("pytorch_lightning.utilities.rank_zero_info", said.append)
    return said


@pytest.fixture(scope="module", params=["luma", "rgb"])
def both(request, root) -> tuple[torch.Tensor, FramesOnDisk]:
    path = collect(
        CollectionSettings("pong", steps=300, pixels=request.param), root=root, progress=False
    )
    frames = torch.from_numpy(store.read(path).frames)
    return frames, FramesOnDisk(path, frames.shape)


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_any_index_gives_what_the_tensor_gives(both, data):
    frames, on_disk = both
    positions = st.integers(0, len(frames) - 1)
    shapes = array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4)
    index = torch.from_numpy(np.asarray(data.draw(arrays(np.int64, shapes, elements=positions))))
    assert torch.equal(on_disk[index], frames[index])
    start, stop = data.draw(positions), data.draw(positions)
    part = slice(start, min(stop, start + 70))
    assert torch.equal(on_disk[part], frames[part])


def test_it_looks_like_the_tensor(both):
    frames, on_disk = both
    assert len(on_disk) == len(frames)
    for name in ("shape", "device", "nbytes"):
        assert getattr(on_disk, name) == getattr(frames, name)


def batches(**arguments) -> list[list[torch.Tensor]]:
    data = AtariDataModule(**{"game": "pong", "batch_size": 16, **arguments})
    data.setup("fit")
    loaders = (data.train_dataloader(), data.val_dataloader())
    return [
        list(data.transfer_batch_to_device(index, CPU, 0))
        for loader in loaders
        for index, _ in zip(loader, range(20), strict=False)
    ]


@pytest.mark.parametrize(
    "arguments",
    [{}, {"sequence_length": 5, "wrap_episodes": True}, {"stage": "probe"}],
    ids=["pairs", "wrapped sequences", "probe"],
)
def test_batches_are_the_same(small, monkeypatch, no_memory, arguments):
    on_disk = batches(**small, **arguments)
    assert len(no_memory) == 1
    monkeypatch.undo()
    in_memory = batches(**small, **arguments)
    for ours, theirs in zip(on_disk, in_memory, strict=True):
        for one, other in zip(ours, theirs, strict=True):
            assert one is other is None or torch.equal(one, other)


def test_the_message_says_what_is_slower_and_what_would_do(small, no_memory):
    AtariDataModule("pong", **small).setup("fit")
    assert no_memory[0].startswith("2500 frames take 0.1 GB and 0.0 GB of memory are available")
    assert "slower by about" in no_memory[0]
    assert "ask for at most 208 steps" in no_memory[0]  # 0.7 * 10 MB / 33 600 bytes


def test_colour_frames_stay_on_disk_too(root, monkeypatch, no_memory):
    small = {"steps": 1500, "probe_steps": 3000, "root": str(root), "workers": 1}
    arguments = {**small, "game": "breakout", "pixels": "rgb", "sequence_length": 3}
    on_disk = batches(**arguments)
    assert "ask for at most 69 steps" in no_memory[0]  # 0.7 * 10 MB / 100 800 bytes
    monkeypatch.undo()
    for ours, theirs in zip(on_disk, batches(**arguments), strict=True):
        assert ours[0].shape[2:] == (3, 210, 160)
        assert torch.equal(ours[0], theirs[0])


def test_training_ends_with_the_same_weights(small, monkeypatch, no_memory):
    def weights() -> torch.Tensor:
        pytorch_lightning.seed_everything(0, verbose=False)
        trainer = quiet(max_steps=3, limit_val_batches=1)
        method = STDIM()
        trainer.fit(method, datamodule=AtariDataModule("pong", batch_size=8, seed=0, **small))
        return torch.cat([weight.detach().flatten() for weight in method.parameters()])

    on_disk = weights()
    assert len(no_memory) == 1
    monkeypatch.undo()
    assert torch.equal(on_disk, weights())


def test_probing_finds_the_same_duplicates_and_features(small, monkeypatch, no_memory):
    on_disk = AtariDataModule("pong", **small).probe_data()
    assert isinstance(on_disk.frames, FramesOnDisk)
    monkeypatch.undo()
    in_memory = AtariDataModule("pong", **small).probe_data()
    assert in_memory.provenance["test_duplicates_removed"] > 0
    for name, part in in_memory.splits.items():
        assert torch.equal(part, on_disk.splits[name])
    encoder, some = NatureEncoder(), in_memory.splits["test"][:300]
    assert torch.equal(*(encode(encoder, data.frames, some) for data in (on_disk, in_memory)))


def test_a_file_that_is_damaged_or_gone_meanwhile_is_not_read(both, tmp_path):
    path = Path(shutil.copy(both[1].path, tmp_path))
    frames = FramesOnDisk(path, both[0].shape)
    good = path.read_bytes()
    assert torch.equal(frames[:1], both[0][:1])
    path.write_bytes(good[:-1])
    with pytest.raises(StoreError, match="is truncated"):
        frames[:1]
    at = len(good) // 2  # among the frames, which are most of the file
    path.write_bytes(good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :])
    with pytest.raises(StoreError, match="is damaged"):
        frames[:]
    path.unlink()
    with pytest.raises(StoreError, match="there is no file"):
        frames[:1]
