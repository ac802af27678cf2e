"""Observations of several frames against a slow loop."""

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from lightning_stdim.datamodules.samplers import other_frames
from lightning_stdim.datamodules.stacking import stacked


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
        [other_frames(anchors, start, length, chance.repeat(2)) for chance in chances]
    )
    values, counts = chosen[:, 0].unique(return_counts=True)
    assert values.tolist() == [10, 12, 13]
    assert counts.tolist() == [100, 100, 100]
    assert chosen[:, 1].unique().tolist() == [30]
