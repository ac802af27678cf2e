"""Every annotated game, on real frames: from the emulator to labelled, filtered, split frames."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import entropy as scipy_entropy

from lightning_stdim.datamodules import store
from lightning_stdim.datamodules.collect import collect
from lightning_stdim.datamodules.labels import annotation, default_label_set, games
from lightning_stdim.datamodules.probe_data import load_probe_data

STEPS, PIECES = 360, 6


def with_short_episodes(path, short):
    """Write a collection with its rows as a few short episodes: whole ones can take thousands."""
    whole = store.read(path)
    length = np.full(PIECES, STEPS // PIECES)
    pieces = replace(
        whole,
        episode_start=np.cumsum(length) - length,
        episode_length=length,
        episode_seed=np.full(PIECES, whole.episode_seed[0]),
    )
    store.write(short, pieces)
    return pieces


@pytest.mark.parametrize("game", games("upstream"))
def test_from_the_emulator_to_probe_data(game, tmp_path):
    path = collect(game, steps=STEPS, root=tmp_path, progress=False)
    collection = with_short_episodes(path, tmp_path / "short.h5")
    data = load_probe_data(tmp_path / "short.h5", deduplicate=False)

    described = annotation(game, default_label_set(game))
    assert (data.game, data.label_set) == (game, described.label_set)
    ram = {
        name: collection.ram[:, code.ram[0]]
        for name, code in zip(described.variables, described.codes, strict=True)
    }
    nats = {name: scipy_entropy(np.bincount(values)) for name, values in ram.items()}
    assert data.variables == tuple(name for name in nats if nats[name] >= 0.6)
    assert set(data.dropped) == set(nats) - set(data.variables)
    for column, name in enumerate(data.variables):
        assert data.labels[:, column].tolist() == ram[name].tolist()
        assert data.categories[name] == described.categories[name]

    episode = np.repeat(np.arange(PIECES), STEPS // PIECES)
    of_split = [set(episode[part]) for part in data.splits.values()]
    assert sorted(e for part in of_split for e in part) == list(range(PIECES))
    assert sorted(np.concatenate(list(data.splits.values()))) == list(range(STEPS))
    assert len({frame.tobytes() for frame in data.frames.numpy()}) > 10  # something moves
