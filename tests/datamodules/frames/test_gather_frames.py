"""Frames taken in words are those taken one by one."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from lightning_stdim.datamodules.frames.on_disk import gather_frames


@given(
    st.sampled_from([(4, 4), (3, 5), (3, 4, 2), (3, 3, 3)]),
    st.sampled_from([torch.uint8, torch.int16, torch.float32]),
    st.integers(0, 3),
    st.booleans(),
)
def test_frames_of_any_size_and_layout(shape, dtype, first, turned):
    numbers = torch.arange(8 * torch.Size(shape).numel()).to(dtype)
    frames = numbers[first:][: 7 * torch.Size(shape).numel()].view(7, *shape)
    frames = frames.transpose(-1, -2) if turned else frames
    for index in (torch.tensor([[0, 6, 2], [2, 3, 1]]), torch.tensor(4), torch.arange(0)):
        found = gather_frames(frames, index)
        assert found.dtype == dtype
        assert torch.equal(found, frames[index])
