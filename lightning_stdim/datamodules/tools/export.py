"""Exporting a collection to the formats of other programs, with all values unchanged.

=========== =======================================================================================
``npz``     NumPy: the fields of :class:`~lightning_stdim.datamodules.store.Collection`;
            ``attributes`` is JSON. It loads with ``allow_pickle=False``.
``parquet`` One row for every step, without frames: ``step``, ``episode``, ``episode_seed``,
            ``action``, ``reward``, ``lives``, ``terminated``, ``truncated``, a column for every
            variable, and ``ram`` as 128 bytes. The schema's metadata has ``attributes`` and
            ``variables`` as JSON.
``minari``  A Minari dataset (a folder): episodes as in the file, an episode of n rows being n
            observations and the n - 1 steps between them. ``infos`` has ``ram``, ``labels`` and
            ``lives`` for every observation. The metadata's ``collection`` has the attributes and
            ``variables`` the names of the labels; an episode's ``seed`` is its game's. The
            dataset's id is the folder's name, or within Minari's own folder its path there.
=========== =======================================================================================

Row t of the store has the action that led to its state. So step t of a Minari episode has the
action, reward and flags of row t + 1. Of an episode's first row Minari gets only the observation:
its action and reward are 0, and not a step. Its flags are lost, which matters only if it is the
whole episode, which has no step then.
"""

from __future__ import annotations

import importlib
import json
import os
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Literal

import h5py
import numpy as np

from lightning_stdim.datamodules import store
from lightning_stdim.errors import ConfigurationError
from lightning_stdim.utils.extras import install_extra
from lightning_stdim.utils.files import atomically

Format = Literal["minari", "npz", "parquet"]

ROW_COLUMNS = {
    "actions": "action",
    "rewards": "reward",
    "lives": "lives",
    "terminated": "terminated",
    "truncated": "truncated",
}
"""The store's datasets with one number a row, and their columns in Parquet."""


def export(path: Path, *, format: Format, out: Path) -> None:
    """Write a collection in another format, atomically.

    Args:
        path: the file of collected frames.
        format: see above. ``"npz"`` needs memory for all frames, ``"minari"`` for an episode's.
        out: the file to make; for ``"minari"`` the folder, with a name such as ``pong-v0``.
            Minari's ``load_dataset`` looks for that name in the folder that
            ``MINARI_DATASETS_PATH`` names.

    Raises:
        ConfigurationError: `out` exists already, its name is none that Minari can parse, or the
            format's library is not installed.
        StoreError: the collection cannot be read, or `out` cannot be written.
    """
    if out.exists():
        raise ConfigurationError(f"{out} exists already: choose another --out")
    write: Callable[[Path, Path], None]
    if format == "minari":
        write = partial(_minari, dataset_id=_minari_id(out))
    else:
        write = {"npz": _npz, "parquet": _parquet}[format]
    with atomically(out) as temporary:
        write(path, temporary)


def _npz(path: Path, out: Path) -> None:
    collection = store.read(path)
    arrays = {**vars(collection), "attributes": json.dumps(collection.attributes)}
    with out.open("wb") as file:  # to a path NumPy would add a suffix
        np.savez_compressed(file, **arrays)


def _parquet(path: Path, out: Path) -> None:
    pa, parquet = _library("pyarrow"), _library("pyarrow.parquet")
    collection = store.read(path, with_frames=False)
    n, length = len(collection), collection.episode_length
    ram = pa.py_buffer(np.ascontiguousarray(collection.ram))
    columns = {
        "step": np.arange(n),
        "episode": np.repeat(np.arange(len(length)), length),
        "episode_seed": np.repeat(collection.episode_seed, length),
        **{column: getattr(collection, name) for name, column in ROW_COLUMNS.items()},
        **dict(zip(collection.variables, collection.labels.T, strict=True)),
        "ram": pa.FixedSizeBinaryArray.from_buffers(pa.binary(128), n, [None, ram]),
    }
    metadata = {"attributes": collection.attributes, "variables": collection.variables}
    table = pa.table(columns, metadata={key: json.dumps(part) for key, part in metadata.items()})
    parquet.write_table(table, out, compression="zstd")


def _minari_id(out: Path) -> str:
    """Name a dataset by its folder, as Minari does when it lists and loads datasets.

    One name that it cannot parse, and Minari lists none at all.
    """
    minari = _library("minari.dataset.minari_dataset")
    root = os.environ.get("MINARI_DATASETS_PATH") or Path.home() / ".minari" / "datasets"
    folder, root = out.resolve(), Path(root).resolve()
    inside = folder.relative_to(root) if folder.is_relative_to(root) else None
    name = inside.as_posix() if inside else folder.name
    try:
        if minari.gen_dataset_id(*minari.parse_dataset_id(name)) == name:
            return name
    except (TypeError, ValueError):  # the first without a version
        pass
    better = re.sub(r"[^-\w/]+", "-", re.sub(r"-v\d*$", "", name)) + "-v0"
    example = root / better if inside else out.with_name(better)
    raise ConfigurationError(
        f"{name!r} is not a valid Minari dataset name: choose an --out of letters, digits, - and _ "
        f"that ends in -v and a number, such as {example}"
    )


def _minari(path: Path, out: Path, *, dataset_id: str) -> None:
    minari, spaces = _library("minari"), _library("gymnasium.spaces")
    storages = _library("minari.dataset.minari_storage")
    collection = store.read(path, with_frames=False)
    attributes, length = collection.attributes, collection.episode_length
    data = (out / "data").resolve()  # Minari joins a relative path with itself
    data.mkdir(parents=True)
    storage = storages.MinariStorage.new(
        data,
        observation_space=spaces.Box(0, 255, collection.frames.shape[1:], np.uint8),
        action_space=spaces.Discrete(len(attributes["actions"].split())),
        data_format="hdf5",
        jpeg_encoding=False,
    )
    # Minari's own writer does not compress, and cannot write an episode without a step.
    with h5py.File(data / "main_data.hdf5", "w") as file:
        for episode, start in enumerate(collection.episode_start):
            stop = start + length[episode]
            frames = store.read_frames(path, np.arange(start, stop))
            states, steps = collection[start:stop], collection[start + 1 : stop]
            group = file.create_group(f"episode_{episode}")
            group.attrs["id"] = episode
            group.attrs["seed"] = collection.episode_seed[episode]
            group.attrs["total_steps"] = len(steps)
            group["actions"] = steps.actions.astype(np.int64)  # what Discrete samples
            group["rewards"] = steps.rewards
            group["terminations"] = steps.terminated
            group["truncations"] = steps.truncated
            group["infos/lives"] = states.lives
            for name, rows in (
                ("observations", frames),
                ("infos/ram", states.ram),
                ("infos/labels", collection.labels[start:stop]),
            ):
                chunks = (min(len(rows), store.CHUNK_FRAMES), *rows.shape[1:])
                group.create_dataset(name, data=rows, chunks=chunks, compression="gzip")
    storage.update_metadata(
        {
            "dataset_id": dataset_id,
            "minari_version": minari.__version__,
            "algorithm_name": attributes["policy"],
            "total_episodes": len(length),
            "total_steps": int(length.sum()) - len(length),
            "dataset_size": storage.get_size(),
            "collection": attributes,
            "variables": collection.variables,
        }
    )


def _library(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ImportError:
        raise ConfigurationError(
            f"this format needs {name.split('.')[0]}: {install_extra('export')}"
        ) from None
