"""Properties of the samplers over generated episodes."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from lightning_stdim.datamodules.samplers import FrameSampler, SequenceSampler
from lightning_stdim.errors import ConfigurationError

lengths = st.lists(st.integers(1, 60), min_size=1, max_size=6)


def bounds(lengths, gaps=0):
    starts = np.cumsum([0, *[n + gaps for n in lengths[:-1]]])
    return np.stack([starts, lengths], axis=1)


def make(lengths, **arguments):
    try:
        return SequenceSampler(bounds(lengths), **arguments)
    except ConfigurationError:
        assume(False)


@settings(deadline=None)
@given(
    lengths,
    st.integers(1, 5),
    st.integers(1, 4),
    st.integers(0, 99),
    st.integers(0, 3),
    st.sampled_from(["frames", "episodes"]),
)
def test_sequences_stay_in_episodes_and_apart(lengths, length, batch_size, seed, epoch, sampling):
    sampler = make(
        lengths, sequence_length=length, batch_size=batch_size, seed=seed, sampling=sampling
    )
    sampler.set_epoch(epoch)
    episode = np.repeat(np.arange(len(lengths)), lengths)
    batches = list(sampler)
    assert (
        len(batches) == len(sampler) == sum(max(0, n - length + 1) for n in lengths) // batch_size
    )
    for batch in batches:
        assert len(batch) == batch_size
        windows = [range(anchor - length + 1, anchor + 1) for anchor in batch]
        for window in windows:
            assert len({episode[t] for t in window}) == 1
        for i, window in enumerate(windows):
            for other in windows[:i]:
                apart = 2 if episode[window[0]] == episode[other[0]] else 1
                assert min(abs(a - b) for a in window for b in other) >= apart


@settings(deadline=None)
@given(lengths, st.integers(0, 99))
def test_nearly_every_pair_comes_once(lengths, seed):
    sampler = make(lengths, sequence_length=2, batch_size=2, seed=seed)
    counts = Counter(anchor for batch in sampler for anchor in batch)
    repeats = sum(counts.values()) - len(counts)
    missing = sampler.count - len(counts)
    assert missing - repeats == sampler.count % 2
    assert repeats <= 4


@settings(deadline=None)
@given(
    st.lists(st.integers(1, 60), min_size=1, max_size=6),
    st.integers(2, 4),
    st.integers(1, 4),
    st.integers(0, 99),
    st.booleans(),
    st.booleans(),
)
def test_with_any_neighbours_an_epoch_is_a_permutation(
    lengths, length, batch_size, seed, repeat_first, shuffle
):
    """Every frame's sequence once, in whole batches; first frames stand for the first sequence."""
    long = [bound for bound in bounds(lengths).tolist() if bound[1] >= length]
    if repeat_first:
        every = [max(t, a + length - 1) for a, n in long for t in range(a, a + n)]
    else:
        every = [t for a, n in long for t in range(a + length - 1, a + n)]
    sampler = make(
        lengths,
        sequence_length=length,
        batch_size=batch_size,
        seed=seed,
        neighbours="any",
        repeat_first=repeat_first,
        shuffle=shuffle,
    )
    batches = list(sampler)
    assert len(batches) == len(sampler) == len(every) // sampler.batch_size
    assert all(len(batch) == sampler.batch_size for batch in batches)
    seen = Counter(anchor for batch in batches for anchor in batch)
    assert seen <= Counter(every)
    assert len(every) - seen.total() < sampler.batch_size


def test_with_any_neighbours_there_are_some():
    arguments = {"sequence_length": 2, "batch_size": 64, "seed": 0}
    closest = {
        neighbours: min(
            np.diff(np.sort(batch)).min()
            for batch in SequenceSampler(bounds([600]), neighbours=neighbours, **arguments)
        )
        for neighbours in ("apart", "any")
    }
    assert closest == {"apart": 3, "any": 1}


@settings(deadline=None)
@given(lengths, st.integers(2, 4), st.integers(1, 4), st.integers(0, 99))
def test_repeated_first_sequences_stay_apart(lengths, length, batch_size, seed):
    sampler = make(
        lengths, sequence_length=length, batch_size=batch_size, seed=seed, repeat_first=True
    )
    batches = list(sampler)
    assert len(batches) == max(1, sum(n for n in lengths if n >= length) // batch_size)
    for batch in batches:
        assert len(set(batch)) == batch_size


def test_a_first_frame_is_paired_in_one_way():
    with pytest.raises(ConfigurationError, match="choose one"):
        SequenceSampler(
            bounds([99]), sequence_length=2, batch_size=8, seed=0, wrap=True, repeat_first=True
        )


@pytest.mark.parametrize("lengths", [[2, 2], [2] * 8, [3, 2, 4, 2, 2, 2]])
def test_episodes_so_short_that_neighbours_must_share_a_batch(lengths):
    batch = list(
        SequenceSampler(bounds(lengths), sequence_length=2, batch_size=len(lengths), seed=0)
    )
    episode = np.repeat(np.arange(len(lengths)), lengths)
    assert sorted(episode[batch[0]]) == [*range(len(lengths))]


def test_there_is_a_distance_across_episodes_where_there_is_room():
    for batch in SequenceSampler(bounds([3] * 40), sequence_length=2, batch_size=10, seed=0):
        assert np.diff(np.sort(batch)).min() >= 3


@pytest.mark.parametrize("ranks", [2, 4])
def test_ranks_share_one_global_batch(ranks):
    arguments = {"sequence_length": 2, "batch_size": 8, "seed": 3}
    whole = list(SequenceSampler(bounds([100, 90]), **arguments))
    parts = [
        list(SequenceSampler(bounds([100, 90]), num_replicas=ranks, rank=r, **arguments))
        for r in range(ranks)
    ]
    assert [[a for row in rows for a in row] for rows in zip(*parts, strict=True)] == whole


def test_epochs_differ_and_repeat():
    sampler = SequenceSampler(bounds([300]), sequence_length=2, batch_size=8, seed=0)
    first = list(sampler)
    sampler.set_epoch(1)
    assert list(sampler) != first
    sampler.set_epoch(0)
    assert list(sampler) == first
    fixed = SequenceSampler(bounds([300]), sequence_length=2, batch_size=8, seed=0, shuffle=False)
    once = list(fixed)
    fixed.set_epoch(1)
    assert list(fixed) == once


def test_episode_sampling_weighs_short_episodes_more():
    """Expected share of each of two episodes is one half, whatever their lengths."""
    sampler = SequenceSampler(
        bounds([1000, 9000]), sequence_length=1, batch_size=8, seed=0, sampling="episodes"
    )
    drawn = np.array([a for batch in sampler for a in batch])
    assert abs((drawn < 1000).mean() - 0.5) < 4 * 0.5 / np.sqrt(len(drawn))


@pytest.mark.parametrize(("frames", "fitting"), [(131, 16), (40, 8), (11, 2), (600, 64)])
def test_what_is_only_measured_comes_in_batches_that_fit(frames, fitting):
    """Parts of the batch, which the same number of ranks can share."""
    arguments = {"sequence_length": 2, "batch_size": 64, "seed": 0}
    small = SequenceSampler(bounds([frames]), shuffle=False, **arguments)
    batches = list(small)
    assert small.batch_size == fitting
    assert len(batches) == len(small) == max(1, (frames - 1) // fitting)
    for batch in batches:
        assert len(batch) == fitting
        assert np.diff(np.sort(batch)).min() >= 3
    if fitting < 64:
        with pytest.raises(ConfigurationError, match="too few for batches of 64"):
            SequenceSampler(bounds([frames]), **arguments)
    halves = [
        list(SequenceSampler(bounds([frames]), shuffle=False, num_replicas=2, rank=r, **arguments))
        for r in range(2)
    ]
    assert [a + b for a, b in zip(*halves, strict=True)] == batches


def test_errors_name_the_numbers():
    with pytest.raises(ConfigurationError, match="too few for batches of 64"):
        SequenceSampler(bounds([5]), sequence_length=2, batch_size=64, seed=0, shuffle=False)
    with pytest.raises(ConfigurationError, match="multiple of the number of devices, 3"):
        SequenceSampler(
            bounds([99]), sequence_length=2, batch_size=8, seed=0, num_replicas=3, rank=0
        )
    with pytest.raises(ConfigurationError, match="too few for batches of 8"):
        SequenceSampler(bounds([9]), sequence_length=2, batch_size=8, seed=0)


@given(st.integers(1, 50), st.integers(1, 9), st.sampled_from([1, 2, 3]), st.booleans())
def test_frame_sampler_covers_every_frame_once(count, share, ranks, shuffle):
    positions = np.arange(100, 100 + count)
    parts = [
        FrameSampler(
            positions,
            batch_size=share * ranks,
            seed=0,
            shuffle=shuffle,
            num_replicas=ranks,
            rank=r,
        )
        for r in range(ranks)
    ]
    seen = [p for part in parts for batch in part for p in batch]
    # In training the ranks' shares are equal, at the cost of fewer than `ranks` frames.
    left_out = count % (share * ranks) % ranks if shuffle else 0
    assert len(seen) == len(set(seen)) == count - left_out
    assert set(seen) <= set(positions.tolist())
    assert len({len(list(part)) for part in parts}) == 1 == len({len(part) for part in parts})
    if shuffle:
        for batches in zip(*parts, strict=True):
            assert len({len(batch) for batch in batches}) == 1


@pytest.mark.parametrize("kind", ["sequences", "any sequences", "frames"])
@settings(deadline=None, max_examples=20)
@given(st.data())
def test_a_pass_goes_on_where_another_was(kind, data):
    """Over every rank's share; other passes are whole."""
    ranks = data.draw(st.sampled_from([1, 2]))
    rank = data.draw(st.integers(0, ranks - 1))
    shares = {"batch_size": 4, "seed": 3, "num_replicas": ranks, "rank": rank}

    def sampler():
        if kind == "frames":
            return FrameSampler(np.arange(5, 38), **shares)
        neighbours = "any" if kind == "any sequences" else "apart"
        episodes = bounds([60, 7, 41])
        return SequenceSampler(episodes, sequence_length=2, neighbours=neighbours, **shares)

    epoch = data.draw(st.integers(0, 2))
    first, second = sampler(), sampler()
    first.set_epoch(epoch)
    whole = list(first)
    done = data.draw(st.integers(0, len(whole)))
    given_before = iter(first)
    assert [next(given_before) for _ in range(done)] == whole[:done]
    state = first.state_dict() if done else {"epoch": epoch, "batches": 0}
    second.load_state_dict(state)
    going_on = iter(second)  # a trainer does so before it sets the epoch
    second.set_epoch(epoch)
    assert list(going_on) == whole[done:]
    assert list(second) == whole
    second.load_state_dict(state)
    second.set_epoch(epoch + 1)
    first.set_epoch(epoch + 1)
    assert list(second) == list(first)
