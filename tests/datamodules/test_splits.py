"""Splits by episode and removal of duplicates."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lightning_stdim.datamodules.splits import (
    frame_digests,
    frames_of,
    split_episodes,
    without_duplicates,
)
from lightning_stdim.errors import ConfigurationError

PROBE = {"train": 0.7, "val": 0.1, "test": 0.2}


@given(st.lists(st.integers(1, 500), min_size=3, max_size=60), st.integers(0, 1000))
def test_a_partition_with_every_split_filled(lengths, seed):
    lengths = np.array(lengths)
    parts = split_episodes(lengths, fractions=PROBE, seed=seed)
    assert list(parts) == ["train", "val", "test"]
    assert sorted(np.concatenate(list(parts.values())).tolist()) == list(range(len(lengths)))
    for name, part in parts.items():
        assert len(part) >= 1
        share = lengths[part].sum() / lengths.sum()
        # An episode is moved whole: no share can be off by more than the longest ones.
        assert abs(share - PROBE[name]) <= 3 * lengths.max() / lengths.sum()


def test_the_order_is_shuffled_by_seed():
    lengths = np.full(50, 10)
    first, again, other = (split_episodes(lengths, fractions=PROBE, seed=s) for s in (0, 0, 1))
    assert all(np.array_equal(first[k], again[k]) for k in PROBE)
    assert not np.array_equal(first["test"], other["test"])
    assert not np.array_equal(first["test"], np.arange(40, 50))  # not the last ones in time


def test_the_reference_splits_in_the_order_of_time():
    parts = split_episodes(np.full(50, 10), fractions=PROBE, seed=3, order="time")
    assert np.array_equal(np.concatenate([parts[k] for k in PROBE]), np.arange(50))


@given(st.lists(st.integers(1, 500), min_size=10, max_size=300))
def test_splits_by_number_are_the_report_s(lengths):
    """Whatever the episodes' lengths: its slices of the list of episodes."""
    n = len(lengths)
    order = list(range(n))
    parts = split_episodes(np.array(lengths), fractions=PROBE, seed=0, order="time", by="episodes")
    val, test = int(0.7 * n), int(0.8 * n)
    expected = {"train": order[:val], "val": order[val:test], "test": order[test:]}
    assert {name: part.tolist() for name, part in parts.items()} == expected


def test_splits_by_number_are_never_empty():
    for n in range(3, 10):
        lengths = np.full(n, 10)
        parts = split_episodes(lengths, fractions=PROBE, seed=0, order="time", by="episodes")
        assert all(len(part) for part in parts.values())
        assert np.concatenate(list(parts.values())).tolist() == list(range(n))


def share_ratios(parts, lengths):
    total = sum(lengths[part].sum() for part in parts.values())
    return np.array([lengths[parts[name]].sum() / total / PROBE[name] for name in PROBE])


def test_a_short_last_episode_never_is_a_split_of_its_own():
    lengths = np.array([1000] * 8 + [30])
    for seed in range(100):
        ratios = share_ratios(split_episodes(lengths, fractions=PROBE, seed=seed), lengths)
        assert ratios.min() >= 0.5
        assert ratios.max() <= 2


@pytest.mark.parametrize(
    "lengths",
    [
        [2045, 2046, 1909],  # Freeway
        [2700, 2690, 610],  # Private Eye
        [1783, 1780, 1779, 658],  # Boxing
        [4520, 1200, 180, 100],  # Pitfall
        [5600, 150, 150, 60, 40],
        [1, 1, 1, 1, 500],
    ],
)
@pytest.mark.parametrize("seed", range(5))
def test_few_episodes_are_split_as_well_as_they_can_be(lengths, seed):
    lengths = np.array(lengths)
    ratios = share_ratios(split_episodes(lengths, fractions=PROBE, seed=seed), lengths)
    misfits = []
    for owners in itertools.product(range(3), repeat=len(lengths)):
        frames = np.bincount(owners, weights=lengths, minlength=3)
        if frames.all():
            other = frames / frames.sum() / np.array(list(PROBE.values()))
            misfits.append(max(other.max(), 1 / other.min()))
    assert max(ratios.max(), 1 / ratios.min()) <= max(2, 1.001 * min(misfits))


def test_where_any_order_fits_it_is_the_seed_s_first():
    """Recorded results depend on it."""
    order = np.random.default_rng(3).permutation(50)
    parts = split_episodes(np.full(50, 10), fractions=PROBE, seed=3)
    expected = {"train": order[:35], "val": order[35:40], "test": order[40:]}
    assert {k: v.tolist() for k, v in parts.items()} == {
        k: sorted(v.tolist()) for k, v in expected.items()
    }


def test_short_episodes_can_be_left_out():
    parts = split_episodes(np.array([64, 65, 100, 64, 70]), fractions=PROBE, seed=0, min_length=65)
    assert sorted(np.concatenate(list(parts.values())).tolist()) == [1, 2, 4]


def test_too_few_episodes_says_how_many_steps_would_do():
    with pytest.raises(
        ConfigurationError, match=r"2 episodes .* in 1000 steps: .* about 2000 steps"
    ):
        split_episodes(np.array([600, 400]), fractions=PROBE, seed=0)
    with pytest.raises(ConfigurationError, match="1 episode of at least 1 frame in 600 steps"):
        split_episodes(np.array([600]), fractions=PROBE, seed=0)


def test_frames_of_skips_the_beginning():
    start, length = np.array([0, 5, 7]), np.array([5, 2, 4])
    assert frames_of(np.array([0, 2]), start, length, skip=2).tolist() == [2, 3, 4, 9, 10]


@given(st.lists(st.integers(0, 3), min_size=4, max_size=30), st.data())
def test_duplicates_against_a_set(values, data):
    frames = np.stack([np.full((3, 2), v, np.uint8) for v in values])
    cut = data.draw(st.integers(1, len(values) - 1))
    seen, test = np.arange(cut), np.arange(cut, len(values))
    kept = without_duplicates(test, seen, frame_digests(torch.from_numpy(frames)))
    assert kept.tolist() == [t for t in test if values[t] not in set(values[:cut])]
