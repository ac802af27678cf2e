"""Exported collections, read back with the libraries that they are for, value for value."""

from __future__ import annotations

import dataclasses
import errno
import json
import sys
import tracemalloc
from pathlib import Path

import minari
import numpy as np
import pyarrow.parquet
import pytest

from lightning_stdim.cli import main
from lightning_stdim.datamodules import store
from lightning_stdim.datamodules.collection.collect import collect
from lightning_stdim.datamodules.collection.settings import CollectionSettings
from lightning_stdim.datamodules.labels.annotations import annotation
from lightning_stdim.datamodules.labels.games import games
from lightning_stdim.datamodules.tools.export import export
from lightning_stdim.errors import StoreError
from tests.datamodules.synthetic import make

FORMATS = ("minari", "npz", "parquet")


@pytest.fixture(scope="module", params=["real", "synthetic", "colour"])
def file(request, tmp_path_factory):
    root = tmp_path_factory.mktemp(request.param)
    if request.param == "real":
        return collect(CollectionSettings("breakout", steps=500), root=root, progress=False)
    shape = (3, 210, 160) if request.param == "colour" else (210, 160)
    store.write(root / "a.h5", make([[40, 3], [2, 33], [1]], shape=shape))  # the last: no step
    return root / "a.h5"


def test_npz_is_every_field(file, tmp_path):
    assert main(["export", str(file), "--format", "npz", "--out", str(tmp_path / "a.npz")]) == 0
    collection = store.read(file)
    with np.load(tmp_path / "a.npz", allow_pickle=False) as arrays:
        assert set(arrays) == {field.name for field in dataclasses.fields(collection)}
        assert json.loads(str(arrays["attributes"])) == collection.attributes
        assert tuple(arrays["variables"].tolist()) == collection.variables
        for name in set(arrays) - {"attributes", "variables"}:
            assert arrays[name].dtype == getattr(collection, name).dtype
            np.testing.assert_array_equal(arrays[name], getattr(collection, name))


def test_parquet_is_a_row_a_step(file, tmp_path):
    out = tmp_path / "a.parquet"
    assert main(["export", str(file), "--format", "parquet", "--out", str(out)]) == 0
    collection = store.read(file)
    table = pyarrow.parquet.read_table(out)
    length = collection.episode_length
    episode = [e for e in range(len(length)) for _ in range(length[e])]
    expected = {
        "step": np.arange(len(collection)),
        "episode": episode,
        "episode_seed": [collection.episode_seed[e] for e in episode],
        "action": collection.actions,
        "reward": collection.rewards,
        "lives": collection.lives,
        "terminated": collection.terminated,
        "truncated": collection.truncated,
        **{name: collection.labels[:, v] for v, name in enumerate(collection.variables)},
    }
    assert table.column_names == [*expected, "ram"]
    for name, column in expected.items():
        np.testing.assert_array_equal(table[name].to_numpy(), column, err_msg=name)
    assert table.schema.field("reward").type == "float"
    assert table["ram"].to_pylist() == [row.tobytes() for row in collection.ram]
    metadata = {key.decode(): json.loads(part) for key, part in table.schema.metadata.items()}
    assert metadata["attributes"] == collection.attributes
    assert metadata["variables"] == list(collection.variables)


@pytest.mark.parametrize("label_set", ["paper", "upstream"])
def test_no_variable_has_the_name_of_another_parquet_column(label_set, tmp_path):
    store.write(tmp_path / "a.h5", make([[1]]))
    export(tmp_path / "a.h5", format="parquet", out=tmp_path / "a.parquet")
    columns = set(pyarrow.parquet.read_schema(tmp_path / "a.parquet").names)
    columns -= set(annotation("pong").variables)
    for game in games(label_set):
        assert columns.isdisjoint(annotation(game, label_set).variables)


def test_minari_is_the_same_episodes(file, tmp_path, monkeypatch):
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path))
    collection = store.read(file)
    name = "any_name-v3"
    assert main(["export", str(file), "--format", "minari", "--out", str(tmp_path / name)]) == 0

    dataset = minari.load_dataset(name)
    assert dataset.spec.dataset_id == name
    assert list(minari.list_local_datasets()) == [name]
    assert dataset.total_episodes == len(collection.episode_length)
    assert dataset.total_steps == len(collection) - len(collection.episode_length)
    metadata = dataset.storage.metadata
    assert metadata["collection"] == collection.attributes
    assert metadata["variables"] == list(collection.variables)
    seeds = [m["seed"] for m in dataset.storage.get_episode_metadata(dataset.episode_indices)]
    assert seeds == collection.episode_seed.tolist()

    start = 0
    for episode, length in zip(dataset, collection.episode_length, strict=True):
        rows, steps = slice(start, start + length), slice(start + 1, start + length)
        start += length
        assert len(episode) == length - 1
        for found, expected in (
            (episode.observations, collection.frames[rows]),
            (episode.rewards, collection.rewards[steps]),
            (episode.terminations, collection.terminated[steps]),
            (episode.truncations, collection.truncated[steps]),
            (episode.infos["ram"], collection.ram[rows]),
            (episode.infos["labels"], collection.labels[rows]),
            (episode.infos["lives"], collection.lives[rows]),
        ):
            assert found.dtype == expected.dtype
            np.testing.assert_array_equal(found, expected)
        np.testing.assert_array_equal(episode.actions, collection.actions[steps])
        assert all(map(dataset.observation_space.contains, episode.observations))
        assert all(map(dataset.action_space.contains, episode.actions))
    assert start == len(collection)


def test_minari_s_own_functions_take_the_dataset(tmp_path):
    file = tmp_path / "pong-my agent.zip-epsilon0.2.h5"
    store.write(file, make([[9, 5], [7]]))
    export(file, format="minari", out=tmp_path / "out-v0")
    dataset = minari.MinariDataset(tmp_path / "out-v0" / "data")
    assert dataset.spec.dataset_id == "out-v0"
    parts = minari.split_dataset(dataset, sizes=[1, 2], seed=0)
    assert sorted(len(episode) for part in parts for episode in part) == [4, 6, 8]
    long = dataset.filter_episodes(lambda episode: len(episode) > 5)
    assert [len(episode) for episode in long] == [8, 6]


def test_minari_s_memory_is_an_episode_s(tmp_path):
    collection = make([[40] for _ in range(32)])
    collection.frames[:, 20:] = 0  # quicker to compress
    store.write(tmp_path / "a.h5", collection)
    tracemalloc.start()
    export(tmp_path / "a.h5", format="minari", out=tmp_path / "out-v0")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < collection.frames.nbytes / 4


@pytest.mark.parametrize("format", FORMATS)
def test_nothing_is_overwritten(format, file, tmp_path, capsys):
    out = tmp_path / "mine"
    out.write_text("dear")
    assert main(["export", str(file), "--format", format, "--out", str(out)]) == 2
    assert capsys.readouterr().err == f"error: {out} exists already: choose another --out\n"
    assert out.read_text() == "dear"


@pytest.mark.parametrize(
    ("format", "library"), [("minari", "minari"), ("minari", "gymnasium"), ("parquet", "pyarrow")]
)
def test_a_missing_library_is_named_with_the_extra(
    format, library, file, tmp_path, capsys, monkeypatch
):
    for name in [name for name in sys.modules if name.split(".")[0] == library]:
        monkeypatch.setitem(sys.modules, name, None)
    assert main(["export", str(file), "--format", format, "--out", str(tmp_path / "a-v0")]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"error: this format needs {library}: install the extra 'export'")
    assert '`pip install ".[export]"`' in said
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("format", FORMATS)
def test_a_damaged_file_is_not_exported(format, file, tmp_path, capsys):
    bad = tmp_path / "bad.h5"
    bad.write_bytes(file.read_bytes()[:-1])
    assert main(["export", str(bad), "--format", format, "--out", str(tmp_path / "a-v0")]) == 2
    assert "bad.h5 is truncated or damaged" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == [bad]


@pytest.mark.parametrize(
    ("format", "function"),
    [
        ("npz", "numpy.savez_compressed"),
        ("parquet", "pyarrow.parquet.write_table"),
        ("minari", "h5py.Group.create_dataset"),
    ],
)
def test_a_full_disk_leaves_nothing(format, function, file, tmp_path, monkeypatch):
    def fail(*args, **kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(function, fail)
    with pytest.raises(StoreError, match="a-v0 cannot be written: No space left on device"):
        export(file, format=format, out=tmp_path / "a-v0")
    assert list(tmp_path.iterdir()) == []


def test_minari_by_a_relative_path(tmp_path, monkeypatch):
    store.write(tmp_path / "a.h5", make([[3]]))
    monkeypatch.chdir(tmp_path)
    export(Path("a.h5"), format="minari", out=Path("there-v0"))
    assert minari.MinariDataset(tmp_path / "there-v0" / "data").total_steps == 2


def test_minari_lists_and_loads_what_is_in_its_folder(tmp_path, monkeypatch):
    """Under every name that the export takes, also below folders, which are namespaces."""
    store.write(tmp_path / "a.h5", make([[3]]))
    root = tmp_path / "datasets"
    root.mkdir()
    (tmp_path / "link").symlink_to(root)
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(root))
    for out in (root / "pong-v0", root / "atari" / "ours" / "pong-v12", tmp_path / "link/x_y-v1"):
        export(tmp_path / "a.h5", format="minari", out=out)
    names = ["pong-v0", "atari/ours/pong-v12", "x_y-v1"]
    assert sorted(minari.list_local_datasets()) == sorted(names)
    assert sorted(minari.list_local_datasets(latest_version=True)) == sorted(names)
    for name in names:
        assert minari.load_dataset(name).spec.dataset_id == name


@pytest.mark.parametrize(
    ("out", "advice"),
    [
        ("pong", "such as {}/pong-v0"),
        ("pong-v", "such as {}/pong-v0"),
        ("pong-v01", "such as {}/pong-v0"),
        ("pong.random-v0", "such as {}/pong-random-v0"),
        ("my pong", "such as {}/my-pong-v0"),
        ("my data/pong-v0", "such as {}/my-data/pong-v0"),
    ],
)
def test_names_that_minari_cannot_parse_are_refused_before_anything_is_written(
    out, advice, tmp_path, monkeypatch, capsys
):
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path))
    words = ["export", "no.h5", "--format", "minari", "--out", str(tmp_path / out)]
    assert main(words) == 2
    said = capsys.readouterr().err
    assert "is not a valid Minari dataset name: choose an --out of letters, digits, - and " in said
    assert advice.format(tmp_path) in said
    assert list(tmp_path.iterdir()) == []


def test_minari_s_own_folder_is_not_made(tmp_path, monkeypatch):
    monkeypatch.delenv("MINARI_DATASETS_PATH", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    store.write(tmp_path / "a.h5", make([[3]]))
    export(tmp_path / "a.h5", format="minari", out=tmp_path / "a-v0")
    assert not (tmp_path / "home").exists()
    export(tmp_path / "a.h5", format="minari", out=tmp_path / "home/.minari/datasets/atari/a-v0")
    assert list(minari.list_local_datasets()) == ["atari/a-v0"]
