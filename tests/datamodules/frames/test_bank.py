"""Batches against the frames that they should hold, found one by one."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from lightning_stdim.datamodules.frames import bank as bank_module
from lightning_stdim.datamodules.frames.bank import FrameBank
from tests.methods.test_no_waiting import nothing_from_the_host

LENGTHS = [5, 7, 8]
STARTS = [0, 5, 12]
N = sum(LENGTHS)
FRAMES = torch.arange(N, dtype=torch.uint8).repeat_interleave(8).view(N, 2, 4)
"""All pixels of a frame have its position for their value."""
ANCHORS = torch.tensor([4, 7, 19, 14])
META = torch.device("meta")


def bank(**arguments: object) -> FrameBank:
    return FrameBank(FRAMES, torch.tensor(STARTS), torch.tensor(LENGTHS), **arguments)


def positions(frames: Tensor) -> list[int]:
    """Read off the frames which ones they are: one number each."""
    flat = frames.flatten(0, -3).flatten(1)
    assert (flat == flat[:, :1]).all()
    return flat[:, 0].tolist()


@pytest.mark.parametrize("length", [1, 2, 3])
def test_sequences_end_in_their_anchors(length):
    batch = bank().sequences(ANCHORS, length=length)
    assert batch.frames.shape == (length, 4, 1, 2, 4)
    for k, frames in enumerate(batch.frames):
        assert positions(frames) == [a - (length - 1) + k for a in ANCHORS.tolist()]
    assert torch.equal(batch.anchors, ANCHORS)
    assert batch.same_episode_frames is None


def test_stacked_frames_do_not_cross_an_episode_s_beginning():
    batch = bank().sequences(torch.tensor([6, 13]), length=2, frame_stack=3)
    assert positions(batch.frames[0]) == [5, 5, 5, 12, 12, 12]
    assert positions(batch.frames[1]) == [5, 5, 6, 12, 12, 13]


def test_a_wrapped_episode_s_first_frame_follows_on_its_last():
    batch = bank().sequences(torch.tensor(STARTS), wrap=True)
    assert positions(batch.frames[0]) == [4, 11, 19]
    assert positions(batch.frames[1]) == STARTS


def test_frames_with_their_labels():
    labels = torch.arange(N * 3).view(N, 3)
    batch = bank(labels=labels).labelled_frames(ANCHORS, frame_stack=2)
    assert positions(batch.frames) == [3, 4, 6, 7, 18, 19, 13, 14]
    assert torch.equal(batch.labels, labels[ANCHORS])


def test_others_are_of_the_same_episode_and_depend_on_seed_epoch_and_position_alone():
    anchors = torch.arange(N)

    def others(seed: int, epoch: int, of: Tensor = anchors) -> list[int]:
        drawn = bank().sequences(of, length=1, others=(seed, epoch)).same_episode_frames
        assert drawn is not None
        return positions(drawn)

    drawn = [others(3, epoch) for epoch in range(200)]
    for start, length in zip(STARTS, LENGTHS, strict=True):
        for anchor in range(start, start + length):
            own = set(range(start, start + length)) - {anchor}
            assert {one[anchor] for one in drawn} == own
    assert others(3, 7) == drawn[7] != others(4, 7)
    assert others(3, 7, ANCHORS) == [drawn[7][anchor] for anchor in ANCHORS.tolist()]


def test_one_bank_draws_anew_in_another_epoch():
    same = bank()
    one, other, again = (
        same.sequences(ANCHORS.repeat(9), length=1, others=(0, epoch)).same_episode_frames
        for epoch in (0, 1, 0)
    )
    assert one is not None
    assert torch.equal(one, again)
    assert not torch.equal(one, other)


@pytest.mark.parametrize("frame_stack", [1, 4])
@pytest.mark.parametrize("wrap", [False, True])
def test_gathering_has_no_device_wait(frame_stack, wrap):
    """On the device that has no values (tests/methods/test_no_waiting.py)."""
    frames = torch.empty((N, 210, 160), dtype=torch.uint8, device=META)
    places = torch.empty((2, 3), dtype=torch.int64, device=META)
    labels = torch.empty((N, 4), dtype=torch.int64, device=META)
    there = FrameBank(frames, *places, labels)
    anchors = torch.empty(6, dtype=torch.int64, device=META)
    arguments = {"length": 3, "frame_stack": frame_stack, "wrap": wrap, "others": (0, 5)}
    there.sequences(anchors, **arguments)  # an epoch's first batch draws for all
    with nothing_from_the_host():
        batch = there.sequences(anchors, **arguments)
        labelled = there.labelled_frames(anchors, frame_stack=frame_stack)
    assert batch.frames.shape == (3, 6, frame_stack, 210, 160)
    assert batch.same_episode_frames.shape == labelled.frames.shape == batch.frames.shape[1:]
    assert labelled.labels.shape == (6, 4)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("fits", [True, False])
def test_frames_are_where_they_fit_and_batches_where_they_are_wanted(fits, monkeypatch):
    monkeypatch.setattr(bank_module, "fits", lambda *_: fits)
    gpu = torch.device("cuda", 0)
    there = bank(labels=torch.arange(N)[:, None], device=gpu)
    assert there.frames.device == (gpu if fits else torch.device("cpu"))
    batch = there.sequences(ANCHORS, others=(1, 2))
    here = bank().sequences(ANCHORS, others=(1, 2))
    for ours, theirs in zip(batch, here, strict=True):
        assert ours.device == gpu
        assert torch.equal(ours.cpu(), theirs)
    assert there.labelled_frames(ANCHORS).labels.flatten().tolist() == ANCHORS.tolist()
