"""The file of a collection: what is written is read, and what is damaged is refused."""

import errno
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from lightning_stdim.datamodules import store
from lightning_stdim.datamodules.store import seal
from lightning_stdim.datamodules.store.collection import Collection
from lightning_stdim.datamodules.store.hdf5 import read, write
from lightning_stdim.errors import StoreError
from tests.datamodules.faults import file_size_limit

COMMAND = "python -m lightning_stdim collect --game pong --steps 9 --seed 0"


def make(
    lengths: list[int],
    variables: tuple[str, ...] = ("x", "y"),
    seed: int = 0,
    shape: tuple[int, ...] = (210, 160),
) -> Collection:
    rng = np.random.default_rng(seed)
    n = sum(lengths)
    return Collection(
        frames=rng.integers(0, 256, (n, *shape), dtype=np.uint8) * (rng.random((n, *shape)) < 0.2),
        ram=rng.integers(0, 256, (n, 128), dtype=np.uint8),
        labels=rng.integers(0, 256, (n, len(variables)), dtype=np.uint8),
        actions=rng.integers(0, 18, n, dtype=np.uint8),
        rewards=rng.normal(size=n).astype(np.float32),
        lives=rng.integers(-2, 400, n).astype(np.int16),
        terminated=rng.random(n) < 0.5,
        truncated=rng.random(n) < 0.5,
        episode_start=np.cumsum([0, *lengths[:-1]]),
        episode_length=np.array(lengths),
        episode_seed=rng.integers(0, 2**63, len(lengths)),
        variables=variables,
        attributes={"command": COMMAND, "game": "pong", "seed": 3, "p": 0.25, "on": True, "no": ""},
    )


def assert_equal(a: Collection, b: Collection) -> None:
    assert a.attributes == b.attributes
    assert [type(value) for value in a.attributes.values()] != [np.generic] * len(a.attributes)
    assert a.variables == b.variables
    for name in (
        "frames",
        *a.columns(),
        "labels",
        "episode_start",
        "episode_length",
        "episode_seed",
    ):
        ours, theirs = getattr(a, name), getattr(b, name)
        assert ours.dtype == theirs.dtype, name
        np.testing.assert_array_equal(ours, theirs, err_msg=name)


@pytest.fixture(scope="module")
def file(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("store") / "small.h5"
    small = make([2, 1])
    small.frames[:] = 7
    write(path, small)
    return path


@st.composite
def collections(draw: st.DrawFn) -> Collection:
    """Episodes of any length, their columns with the extremes of every type."""
    lengths = draw(st.lists(st.integers(1, 70), min_size=1, max_size=4))
    names = st.text("abc_0", min_size=1, max_size=40)
    variables = tuple(draw(st.lists(names, unique=True, min_size=1, max_size=3)))
    shape = draw(st.sampled_from([(210, 160), (3, 210, 160)]))
    made = make(lengths, variables, draw(st.integers(0, 1000)), shape)
    for name in ("ram", "labels", "actions", "rewards", "lives", "terminated", "truncated"):
        column = getattr(made, name)
        setattr(made, name, draw(arrays(column.dtype, column.shape)))
    made.frames[draw(st.integers(0, len(made) - 1))] = draw(st.sampled_from([0, 255]))
    made.episode_seed = draw(arrays(np.int64, len(lengths)))
    made.attributes |= draw(
        st.dictionaries(
            st.from_regex("[a-z_]{1,20}", fullmatch=True).filter(lambda name: name != "command"),
            st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | st.booleans(),
            max_size=3,
        )
    )
    return made


@settings(max_examples=25, deadline=None)
@given(collection=collections())
def test_what_is_written_is_read(tmp_path_factory, collection):
    path = tmp_path_factory.mktemp("any") / "a.h5"
    write(path, collection)
    assert_equal(read(path), collection)
    rows = np.arange(0, len(collection), 3)
    np.testing.assert_array_equal(store.read_frames(path, rows), collection.frames[rows])
    room = np.empty((64, *collection.frames.shape[1:]), np.uint8)
    parts = [(rows, part.copy()) for rows, part in store.read_parts(path, room)]
    assert [row for rows, _ in parts for row in range(rows.start, rows.stop)] == [
        *range(len(collection))
    ]
    np.testing.assert_array_equal(np.concatenate([p for _, p in parts]), collection.frames)


@pytest.mark.parametrize(
    ("n", "shape"),
    [
        *((n, (210, 160)) for n in (1, 31, 32, 33, 4096, 4097)),
        *((n, (3, 210, 160)) for n in (1, 32, 33)),
    ],
)
def test_lengths_around_those_of_chunks(tmp_path, n, shape):
    collection = make([1])
    for name, column in {**collection.columns(), "labels": collection.labels}.items():
        setattr(collection, name, np.resize(column, (n, *column.shape[1:])))
    channels = shape[:-2]
    values = np.arange(n * np.prod(channels, dtype=int)).astype(np.uint8)
    frames = np.broadcast_to(values.reshape(n, *channels, 1, 1), (n, *shape))
    collection.frames, collection.episode_length = frames, np.array([n])
    write(tmp_path / "a.h5", collection)
    assert_equal(read(tmp_path / "a.h5"), collection)


def test_attributes_come_back_as_plain_data(file):
    attributes = read(file).attributes
    assert {name: type(value) for name, value in attributes.items()} == {
        "command": str,
        "game": str,
        "seed": int,
        "p": float,
        "on": bool,
        "no": str,
    }


def test_equal_collections_make_equal_files_however_the_frames_come(tmp_path):
    collection = make([100, 30])
    write(tmp_path / "a.h5", collection)
    shorter = make([3])
    columns = {**collection.columns(), "labels": collection.labels}
    store.write_stream(
        tmp_path / "b.h5",
        len(collection),
        (frame for part in (collection.frames, shorter.frames) for frame in part),
        lambda rows: {name: column[rows] for name, column in columns.items()},
        lambda: (
            {
                "start": collection.episode_start,
                "length": collection.episode_length,
                "seed": collection.episode_seed,
            },
            collection.attributes,
        ),
        variables=collection.variables,
    )
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()


def test_other_programs_can_read_it(file):
    with h5py.File(file) as opened:
        assert opened["frames"].shape == (3, 210, 160)
        assert opened["labels"].attrs["variables"].tolist() == [b"x", b"y"]
        assert opened["episodes/start"][:].tolist() == [0, 2]
        assert opened["frames"].fletcher32
        assert opened["frames"].chunks[0] <= 32


@pytest.mark.parametrize("rows", [[-1], [0, 3], [31], [32], [10**6], [1, 0], [1, 1]])
def test_rows_that_are_not_there_or_out_of_order(file, rows):
    with pytest.raises(IndexError, match="rows of 3 frames"):
        store.read_frames(file, np.array(rows))


@pytest.mark.parametrize("shape", [(2, 210, 160), (4, 210, 160), (3, 3, 210, 160), (3, 160, 210)])
def test_room_of_another_shape(file, shape):
    with pytest.raises(StoreError, match="something changed it"):
        store.read_frames(file, out=np.empty(shape, np.uint8))


def test_no_threads_are_no_damage(file, monkeypatch):
    def refuse(*_):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    with pytest.raises(StoreError, match=r"^frames are read by \d+ threads: can.t start"):
        read(file)


@pytest.mark.parametrize("locking", [None, True, False, "best-effort"])
def test_a_file_that_is_open_elsewhere_is_read(file, locking):
    with h5py.File(file, locking=locking) as opened:
        np.testing.assert_array_equal(read(file).frames, opened["frames"][...])


@pytest.mark.parametrize("changes", [False, True])
def test_a_file_that_a_killed_program_had_open_for_writing_is_not_called_damaged(
    file, tmp_path, changes
):
    path = tmp_path / "a file.h5"
    path.write_bytes(file.read_bytes())
    code = f"""
import h5py, os, signal
file = h5py.File({str(path)!r}, "a")
if {changes}:
    file.attrs["note"] = "x" * 10_000
    file.flush()
print("open", flush=True)
signal.pause()
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "open\n"
        for ended in (False, True):
            if ended:
                other.kill()
                other.wait()
            for verify in (False, True):
                with pytest.raises(StoreError, match=r"has .*a file\.h5 open for wri") as caught:
                    read(path, verify=verify)
                assert "h5clear --status '" in str(caught.value)
                assert "delete" not in str(caught.value)
    if shutil.which("h5clear") and not changes:
        subprocess.run(["h5clear", "--status", path], check=True)
        assert path.read_bytes() == file.read_bytes()


def test_a_file_that_is_opened_for_writing_after_its_check(file):
    with h5py.File(file, "a"):
        code = "from lightning_stdim.datamodules.store import hdf5; hdf5.check = lambda *_, **__: 0"
        code += f"; hdf5.read_frames({str(file)!r})"
        other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "StoreError: a program has" in other.stderr
    read(file)


@pytest.mark.parametrize(
    ("note", "what"), [("x" * 10_000, "it has [0-9]+ bytes"), (1, "its content does not")]
)
def test_a_file_that_another_program_has_changed_is_kept(file, tmp_path, note, what):
    path = tmp_path / "a.h5"
    path.write_bytes(file.read_bytes())
    with h5py.File(path, "r+") as opened:
        opened.attrs["note"] = note
    with pytest.raises(StoreError, match=f"another program has changed it: {what}.*move it away"):
        read(path)


def test_a_failing_system_is_no_damage(file, monkeypatch):
    def refuse(*_, **__):
        raise OSError(errno.EMFILE, "Unable to synchronously open file (unable to open file)")

    monkeypatch.setattr(h5py, "File", refuse)
    with pytest.raises(StoreError, match=r"small\.h5 cannot be read: Too many open files$"):
        read(file)


def test_no_temporary_file_is_left(file, tmp_path):
    assert [path.name for path in file.parent.iterdir()] == ["small.h5"]
    broken = make([3])
    broken.attributes["x"] = object()
    with pytest.raises(TypeError):
        write(tmp_path / "a.h5", broken)
    assert list(tmp_path.iterdir()) == []


def test_any_damaged_byte_is_noticed(file, tmp_path):
    good = file.read_bytes()
    path = tmp_path / "bad.h5"
    path.write_bytes(good)
    store.check(path)
    rng = np.random.default_rng(0)
    with path.open("r+b", buffering=0) as handle:
        for position in range(len(good)):
            handle.seek(position)
            handle.write(bytes([good[position] ^ 1 << int(rng.integers(8))]))
            remedy = "move it away and collect again|h5clear"
            with pytest.raises(StoreError, match=rf"bad\.h5 .*({remedy})"):
                store.check(path)
            handle.seek(position)
            handle.write(good[position : position + 1])
    store.check(path)


def test_a_damaged_file_is_not_read(file, tmp_path):
    good = bytearray(file.read_bytes())
    good[-100] ^= 4
    path = tmp_path / "bad.h5"
    path.write_bytes(good)
    with pytest.raises(StoreError, match="damaged.*SHA-256.*collect again with `" + COMMAND):
        read(path)


def test_without_hashing_the_chunks_own_checksums_still_guard_the_frames(file, tmp_path):
    with h5py.File(file) as opened:
        chunk = opened["frames"].id.get_chunk_info(0)
    bad = bytearray(file.read_bytes())
    at = 512 + chunk.byte_offset if chunk.byte_offset < 512 else chunk.byte_offset
    bad[at + chunk.size // 2] ^= 1
    path = tmp_path / "bad.h5"
    path.write_bytes(bad)
    with pytest.raises(StoreError, match="is damaged"):
        read(path, verify=False)


@pytest.mark.parametrize("keep", [0, 1, 511, 512, 513, 0.5, -1])
def test_a_truncated_file_is_refused_even_without_hashing(file, tmp_path, keep):
    good = file.read_bytes()
    path = tmp_path / "short.h5"
    path.write_bytes(good[: int(keep * len(good)) if isinstance(keep, float) else keep])
    for verify in (True, False):
        with pytest.raises(StoreError, match=r"short\.h5"):
            read(path, verify=verify)


def test_no_truncated_file_is_taken_for_a_whole_one(file, tmp_path):
    path = tmp_path / "short.h5"
    path.write_bytes(file.read_bytes())
    for size in reversed(range(path.stat().st_size)):
        os.truncate(path, size)
        with pytest.raises(StoreError, match=r"short\.h5 .*move it away and collect again"):
            store.check(path, verify=False)


def test_no_disk_is_too_full_for_a_clear_message(file, tmp_path):
    for limit in range(0, file.stat().st_size, 200):
        with (
            file_size_limit(limit),
            pytest.raises(StoreError, match=r"a\.h5 cannot be written: File too large"),
        ):
            write(tmp_path / "a.h5", make([2, 1]))
        assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("missing", ["module", "filter"])
def test_a_missing_compression_plugin_is_not_taken_for_damage(file, tmp_path, monkeypatch, missing):
    if missing == "module":
        monkeypatch.setitem(sys.modules, "hdf5plugin", None)
    else:
        monkeypatch.setattr(h5py.h5z, "filter_avail", lambda number: number != 32015)
    for use in (read, lambda path: write(tmp_path / "a.h5", make([1]))):
        with pytest.raises(StoreError, match="pip install hdf5plugin") as caught:
            use(file)
        assert "delete" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_file_of_another_schema_says_so(file, tmp_path, monkeypatch):
    monkeypatch.setattr(seal, "SCHEMA", 2)
    write(tmp_path / "new.h5", make([3]))
    monkeypatch.undo()
    with pytest.raises(StoreError, match=r"'schema 2'.* reads schema 1: .*, install that one"):
        read(tmp_path / "new.h5")


def test_other_files_are_refused(tmp_path):
    with pytest.raises(StoreError, match="there is no file"):
        read(tmp_path / "none.h5")
    with pytest.raises(StoreError, match="Is a directory"):
        read(tmp_path)
    (tmp_path / "text.h5").write_text("hello\n" * 200)
    with h5py.File(tmp_path / "foreign.h5", "w") as foreign:
        foreign["frames"] = np.zeros(3)
    for name in ("text.h5", "foreign.h5"):
        with pytest.raises(StoreError, match="is not a file of collected frames"):
            read(tmp_path / name)


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match=r"file/a\.h5 cannot be written: File exists"):
        write(tmp_path / "file" / "a.h5", make([3]))


@pytest.mark.parametrize("command", ["collect --policy " + "x" * 600, "collect --policy ä.zip"])
def test_a_command_that_the_header_cannot_hold(tmp_path, command):
    collection = make([3])
    collection.attributes["command"] = command
    write(tmp_path / "a.h5", collection)
    assert_equal(read(tmp_path / "a.h5"), collection)
    (tmp_path / "a.h5").write_bytes((tmp_path / "a.h5").read_bytes()[:-1])
    with pytest.raises(StoreError, match="collect again with `python -m lightning_stdim collect "):
        read(tmp_path / "a.h5")


@pytest.mark.parametrize(
    ("folder", "root"), [("data", ""), ("my data", " --root 'my data'"), (".", " --root .")]
)
def test_the_command_makes_the_file_where_it_is(file, tmp_path, monkeypatch, folder, root):
    monkeypatch.chdir(tmp_path)
    Path(folder).mkdir(exist_ok=True)
    path = Path(folder) / "a.h5"
    path.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(StoreError, match=f"again with `{COMMAND}{root}`$"):
        read(path)
