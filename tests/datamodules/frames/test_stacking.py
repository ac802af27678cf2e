"""Observations of several frames against a slow loop."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lightning_stdim.datamodules.frames.stacking import observations, stacked
from lightning_stdim.datamodules.samplers import same_episode_frames


@given(st.lists(st.integers(1, 6), min_size=1, max_size=5), st.integers(1, 5))
def test_frames_before_an_episode_are_its_first(lengths, size):
    starts = np.cumsum([0, *lengths[:-1]])
    expected = [
        [max(start, start + t - back) for back in reversed(range(size))]
        for start, length in zip(starts, lengths, strict=True)
        for t in range(length)
    ]
    positions = torch.arange(sum(lengths))
    assert stacked(positions, torch.from_numpy(starts), size).tolist() == expected
    grid = positions.repeat(2, 1)
    assert stacked(grid, torch.from_numpy(starts), size)[1].tolist() == expected


def test_another_frame_of_the_episode_uniformly():
    start, length = torch.tensor([10, 30]), torch.tensor([4, 2])
    anchors = torch.tensor([11, 31])
    chances = torch.arange(300, dtype=torch.float64) / 300
    chosen = torch.stack(
        [same_episode_frames(anchors, start, length, chance.repeat(2)) for chance in chances]
    )
    values, counts = chosen[:, 0].unique(return_counts=True)
    assert values.tolist() == [10, 12, 13]
    assert counts.tolist() == [100, 100, 100]
    assert chosen[:, 1].unique().tolist() == [30]


@pytest.mark.parametrize("channels", [None, 3])
def test_frames_are_channels_the_newest_last(channels):
    shape = (6, 4, 5) if channels is None else (6, channels, 4, 5)
    frames = torch.arange(torch.Size(shape).numel()).reshape(shape)
    positions, starts = torch.tensor([[0, 1, 2], [3, 4, 5]]), torch.tensor([0, 3])
    found = observations(frames, positions, starts, 2)
    for row, column in np.ndindex(2, 3):
        newest = positions[row, column]
        pair = [max(newest - 1, starts[row]), newest]
        expected = [frames[t] if channels else frames[t][None] for t in pair]
        assert torch.equal(found[row, column], torch.cat(expected))
