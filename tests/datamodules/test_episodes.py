"""The report's episodes against its loop over the environment's steps, written out."""

import numpy as np
import pytest
import torch

from lightning_stdim.datamodules import store
from lightning_stdim.datamodules.atari import AtariDataModule
from lightning_stdim.datamodules.collection.seeds import game_seed
from lightning_stdim.datamodules.emulator.emulator import Emulator
from lightning_stdim.datamodules.episodes import with_stale_first_frames
from lightning_stdim.datamodules.frames.loading import rearranged
from lightning_stdim.datamodules.frames.on_disk import FramesOnDisk
from lightning_stdim.datamodules.labels.annotations import annotation
from tests.datamodules.synthetic import make

CPU = torch.device("cpu")
STEPS = 900
REPORT = {
    "stale_first_frame": True,
    "split_order": "time",
    "split_by": "episodes",
    "min_episode_length": 3,
    "entropy_threshold": 0.0,
    "pretrain_on": "probe",
    "neighbours": "any",
    "repeat_first_pair": True,
}


def collected_as_the_report_does(environment, seed, rows):
    """Frames and RAM by episode: ``step`` in a loop, ``reset`` where it is done.

    ``rows`` counts the observations of resets, too, which our collections store.
    """
    emulator = Emulator("breakout", environment=environment)
    games = 0

    def reset():
        nonlocal games, rng
        if games and emulator.next_episode():
            return
        rng = np.random.default_rng(game_seed(seed, games))
        emulator.new_game(noops=int(rng.integers(1, 31)), rng=rng.spawn(1)[0])
        games += 1

    rng = None
    reset()
    episodes = [[]]
    count = 1
    while count < rows:
        emulator.step(int(rng.integers(1, emulator.n_actions)))
        count += 1
        seen = (emulator.frame.copy(), emulator.ram.copy())
        if not (emulator.terminated or emulator.truncated):
            episodes[-1].append(seen)
        else:
            episodes.append([seen])
            reset()
            count += 1
    return [episode for episode in episodes if len(episode) > 2]


@pytest.fixture(scope="module", params=["challenge", "challenge-v0"])
def both(request, root):
    data = AtariDataModule(
        "breakout",
        environment=request.param,
        probe_steps=STEPS,
        batch_size=8,
        root=str(root),
        workers=1,
        **REPORT,
    )
    episodes = collected_as_the_report_does(request.param, 1_000_000, STEPS)
    n = len(episodes)
    cut = [0, int(0.7 * n), int(0.8 * n), n]
    assert n >= 15
    splits = zip(("train", "val", "test"), cut[:-1], cut[1:], strict=True)
    return data, {name: episodes[first:last] for name, first, last in splits}


def test_frames_labels_and_splits(both):
    data, expected = both
    probe = data.probe_data()
    labels = annotation("breakout")
    columns = [labels.variables.index(name) for name in probe.variables]
    seen = {frame.tobytes() for s in ("train", "val") for ep in expected[s] for frame, _ in ep}
    for split, episodes in expected.items():
        flat = [
            (frame, ram)
            for episode in episodes
            for frame, ram in episode
            if split != "test" or frame.tobytes() not in seen
        ]
        found = probe.splits[split]
        assert len(found) == len(flat) > 20
        np.testing.assert_array_equal(probe.frames[found], np.stack([frame for frame, _ in flat]))
        ram = np.stack([ram for _, ram in flat])
        np.testing.assert_array_equal(probe.labels[found], labels.decode(ram)[:, columns])


def test_pairs_to_pretrain_on(both):
    """The probe's training frames, an episode's first paired with the next."""
    data, expected = both
    data.setup("fit")
    for split, loader in (("train", data.train_dataloader()), ("val", data.val_dataloader())):
        pairs = [
            (episode[max(k, 1) - 1][0].tobytes(), episode[max(k, 1)][0].tobytes())
            for episode in expected[split]
            for k in range(len(episode))
        ]
        found = []
        for index in loader:
            batch = data.transfer_batch_to_device(index, CPU, 0).frames.numpy()
            found += [(a.tobytes(), b.tobytes()) for a, b in zip(*batch, strict=True)]
        assert len(found) == len(pairs) // 8 * 8
        for pair in found:
            pairs.remove(pair)  # an error if it is not there, or not so often
    assert not (data.root / data.collection("pretrain").file_name()).exists()
    data.teardown("fit")


def test_a_method_is_tested_on_the_test_split_of_what_it_was_trained_on(both):
    data, expected = both
    data.setup("test")
    frames = {f.tobytes() for episode in expected["test"] for f, _ in episode}
    for index in data.test_dataloader():
        batch = data.transfer_batch_to_device(index, CPU, 0)
        assert all(frame.tobytes() in frames for frame in batch.frames[1].numpy())
    data.teardown("test")


def test_longer_sequences_do_not_move_the_splits(both):
    data, _ = both
    longer = AtariDataModule(**{**data.hparams, "sequence_length": 6, "batch_size": 1})
    longer.setup("fit")
    anchors = {int(i) for index in longer.train_dataloader() for i in index}
    assert anchors
    assert anchors <= set(data.probe_data().splits["train"].tolist())


def test_frames_on_disk_are_rearranged_too(both):
    data, _ = both
    path = data.collect("probe")
    probe = data.probe_data()
    rows = with_stale_first_frames(store.read(path)).rows
    on_disk = rearranged(FramesOnDisk(path, probe.frames.shape), rows)
    index = torch.arange(STEPS).flip(0)
    assert torch.equal(on_disk[index], probe.frames[index])
    assert torch.equal(on_disk[10:50], probe.frames[10:50])


@pytest.mark.parametrize(
    ("games", "whole", "expected"),
    [
        ([[4, 3], [5]], True, [[1, 2], [3, 5], [6, 8, 9, 10]]),
        ([[4, 3], [5]], False, [[1, 2], [3, 5], [6, 8, 9, 10, 11]]),
        ([[1, 1, 2]], True, [[], [], [1]]),  # episodes of one frame are lost
    ],
)
def test_rows_of_the_episodes(games, whole, expected):
    collection = make(games)
    if not whole:
        collection.terminated[-1] = False
        collection.truncated[-1] = True
    found = with_stale_first_frames(collection)
    shown = [
        found.rows[first : first + n].tolist()
        for first, n in zip(found.start, found.length, strict=True)
    ]
    assert shown == expected
