"""Every annotated game, on real frames: from the emulator to labelled, filtered, split frames."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import entropy as scipy_entropy

from lightning_stdim.datamodules import store
from lightning_stdim.datamodules.collection.collect import collect
from lightning_stdim.datamodules.collection.settings import CollectionSettings
from lightning_stdim.datamodules.labels.annotations import annotation
from lightning_stdim.datamodules.labels.games import default_label_set, games
from lightning_stdim.datamodules.probe_data import load_probe_data

STEPS, PARTS = 360, 6
AGENT, SMALL, OTHER = "agent_localization", "small_object_localization", "other_localization"
DISPLAY, MISC = "score_clock_lives_display", "misc_keys"
BYTES = {  # in RAM, written down by hand from the annotations; and their categories
    "boxing": {"player_x": (32, AGENT), "player_y": (34, AGENT), "enemy_x": (33, OTHER)},
    "breakout": {"ball_x": (99, SMALL), "ball_y": (101, SMALL), "player_x": (72, AGENT)},
    "freeway": {"player_y": (14, AGENT), "score": (103, DISPLAY), "enemy_car_x_0": (108, OTHER)},
    "mspacman": {"player_x": (10, AGENT), "enemy_inky_y": (13, OTHER), "ghosts_count": (19, MISC)},
    "pong": {"ball_x": (49, SMALL), "enemy_y": (50, OTHER), "player_y": (51, AGENT)},
    "seaquest": {"player_x": (70, AGENT), "player_y": (97, AGENT), "missile_x": (103, SMALL)},
    "skiing": {"player_x": (25, AGENT), "clock_ms": (106, DISPLAY), "object_y_0": (87, OTHER)},
    "tennis": {"enemy_x": (27, OTHER), "ball_y": (17, SMALL), "player_score": (69, DISPLAY)},
}


def with_short_episodes(path, short):
    """Write a collection with its rows as a few short episodes: whole ones can take thousands."""
    whole = store.read(path)
    length = np.full(PARTS, STEPS // PARTS)
    shorter = replace(
        whole,
        episode_start=np.cumsum(length) - length,
        episode_length=length,
        episode_seed=np.full(PARTS, whole.episode_seed[0]),
    )
    store.write(short, shorter)
    return shorter


@pytest.mark.parametrize("game", BYTES)
def test_labels_are_the_bytes_that_were_written_down(game, tmp_path):
    collection = store.read(
        collect(CollectionSettings(game, steps=STEPS), root=tmp_path, progress=False)
    )
    categories = annotation(game, default_label_set(game)).categories
    different = set()
    for name, (byte, category) in BYTES[game].items():
        labels = collection.labels[:, collection.variables.index(name)]
        assert labels.tolist() == collection.ram[:, byte].tolist()
        assert categories[name] == (category,)
        different.add(labels.tobytes())
    assert len(different) == len(BYTES[game])  # so that none can be taken for another


@pytest.mark.parametrize("game", games("upstream"))
def test_from_the_emulator_to_probe_data(game, tmp_path):
    path = collect(CollectionSettings(game, steps=STEPS), root=tmp_path, progress=False)
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

    episode = np.repeat(np.arange(PARTS), STEPS // PARTS)
    of_split = [set(episode[part]) for part in data.splits.values()]
    assert sorted(e for part in of_split for e in part) == list(range(PARTS))
    assert sorted(np.concatenate(list(data.splits.values()))) == list(range(STEPS))
    assert len({frame.tobytes() for frame in data.frames.numpy()}) > 10  # something moves
