"""Collecting: the same file whoever plays, whatever happens."""

import re
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from lightning_stdim.datamodules.collection import collect as collect_module
from lightning_stdim.datamodules.collection import segment_file, worker_pool
from lightning_stdim.datamodules.collection.collect import collect
from lightning_stdim.datamodules.collection.settings import CollectionSettings
from lightning_stdim.datamodules.labels.annotations import annotation
from lightning_stdim.datamodules.store.collection import Collection
from lightning_stdim.datamodules.store.hdf5 import read
from lightning_stdim.errors import ConfigurationError, LightningStdimError, StoreError
from tests.datamodules.emulator.reference_wrappers import ReferenceGame

STEPS = 600  # four games of Breakout

SCRIPT = """
import signal  # a shell's background job ignores interrupts, and so would its children
signal.signal(signal.SIGINT, signal.default_int_handler)
import sys
import lightning_stdim.datamodules.collection.collect as module
module.SEGMENT_ROWS = 32
settings = module.CollectionSettings("breakout", steps=int(sys.argv[2]))
print(module.collect(settings, workers=2, root=sys.argv[1]))
"""  # without the guard that multiprocessing would ask for

NO_LOCKS = """
import fcntl
def flock(*_):
    raise OSError(37, "No locks available")
fcntl.flock = flock
"""


def start(root: Path, steps: int = STEPS, *, locks: bool = True) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", ("" if locks else NO_LOCKS) + SCRIPT, str(root), str(steps)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for_segments(root: Path, n: int, process: "subprocess.Popen[str]") -> None:
    while len(list(root.glob("*.partial/*-*.npz.zst"))) < n:
        assert process.poll() is None, process.communicate()
        time.sleep(0.002)


@pytest.fixture(scope="module")
def truth(tmp_path_factory) -> Path:
    return collect(
        CollectionSettings("breakout", steps=STEPS),
        root=tmp_path_factory.mktemp("truth"),
        progress=False,
    )


@pytest.fixture(scope="module")
def collection(truth) -> Collection:
    return read(truth)


@pytest.fixture(scope="module")
def colour(truth) -> Path:
    return collect(
        CollectionSettings("breakout", steps=STEPS, pixels="rgb"), root=truth.parent, progress=False
    )


def test_equals_the_protocol_played_slowly(collection, colour):
    """Frames, RAM, rewards, ... of every row, from the episodes' seeds and Gymnasium alone."""
    reference = ReferenceGame("BreakoutNoFrameskip-v4")
    rgb = read(colour).frames
    row = 0
    for seed in dict.fromkeys(collection.episode_seed.tolist()):
        rng = np.random.default_rng(seed)
        seen = reference.new_game(int(rng.integers(1, 31)))
        action = 0
        while row < STEPS:
            np.testing.assert_array_equal(collection.frames[row], seen.frame)
            np.testing.assert_array_equal(rgb[row].transpose(1, 2, 0), seen.rgb)
            np.testing.assert_array_equal(collection.ram[row], seen.ram)
            assert collection.actions[row] == action
            assert collection.rewards[row] == seen.reward
            assert collection.lives[row] == seen.lives
            assert collection.terminated[row] == seen.terminated
            assert collection.truncated[row] == (seen.truncated or row == STEPS - 1)
            row += 1
            if reference.over():
                break
            if seen.terminated:
                action, seen = 0, reference.next_episode()
            else:
                action = int(rng.integers(1, 4))
                seen = reference.step(action)
    assert row == STEPS


def test_episodes_cover_the_rows_and_end_where_the_flags_say(collection):
    start, length = collection.episode_start, collection.episode_length
    assert len(collection) == STEPS == length.sum()
    assert start.tolist() == [0, *np.cumsum(length)[:-1]]
    ended = collection.terminated | collection.truncated
    assert np.flatnonzero(ended).tolist() == (start + length - 1).tolist()
    assert len(set(collection.episode_seed)) < len(start)  # a game has several episodes
    assert (collection.actions[start] == 0).all()
    assert (np.delete(collection.actions, start) > 0).all()  # NOOP is never drawn


def test_labels_are_the_annotated_bytes_of_the_same_row(collection):
    expected = annotation("breakout")
    assert collection.variables == expected.variables
    np.testing.assert_array_equal(
        collection.labels, collection.ram[:, [code.ram[0] for code in expected.codes]]
    )


def test_provenance(collection, tmp_path):
    attributes = collection.attributes
    assert attributes["game"] == "breakout"
    assert attributes["command"] == (
        "python -m lightning_stdim collect --game breakout --steps 600 --seed 0"
    )
    assert attributes["ale_py"]
    assert re.fullmatch("[0-9a-f]{64}", attributes["rom_sha256"])
    assert attributes["start_actions"] == "FIRE RIGHT"


def test_more_steps_begin_with_the_same_rows_and_other_seeds_do_not(collection, tmp_path):
    shorter = read(
        collect(CollectionSettings("breakout", steps=250), root=tmp_path, progress=False)
    )
    for name, column in shorter.columns().items():
        n = 249 if name == "truncated" else 250
        np.testing.assert_array_equal(column[:n], collection.columns()[name][:n])
    np.testing.assert_array_equal(shorter.frames, collection.frames[:250])
    assert shorter.truncated[-1]
    assert not collection.truncated[249]
    other = read(
        collect(CollectionSettings("breakout", steps=50, seed=1), root=tmp_path, progress=False)
    )
    assert (other.actions[:50] != collection.actions[:50]).any()
    assert not set(other.episode_seed) & set(collection.episode_seed)


@pytest.mark.parametrize(("workers", "segment_rows"), [(2, 1), (3, 50)])
def test_the_file_does_not_depend_on_who_plays(truth, tmp_path, monkeypatch, workers, segment_rows):
    monkeypatch.setattr(collect_module, "SEGMENT_ROWS", segment_rows)
    path = collect(
        CollectionSettings("breakout", steps=STEPS), workers=workers, root=tmp_path, progress=False
    )
    assert path.read_bytes() == truth.read_bytes()
    assert [p for p in tmp_path.iterdir() if not p.name.startswith(".")] == [path]


def test_in_colour_everything_but_the_frames_is_the_same(collection, colour):
    assert colour.name == "breakout-random-seed0-600-rgb.h5"
    found = read(colour)
    assert found.frames.shape == (STEPS, 3, 210, 160)
    assert (found.pixels, collection.pixels) == ("rgb", "luma")
    names = ("labels", "episode_start", "episode_length", "episode_seed", *collection.columns())
    for name in names:
        np.testing.assert_array_equal(getattr(found, name), getattr(collection, name))
    ours, theirs = dict(found.attributes), dict(collection.attributes)
    assert ours.pop("pixels") == "rgb"
    assert theirs.pop("greyscale")
    assert ours.pop("command") == f"{theirs.pop('command')} --pixels rgb"
    assert ours == theirs


def test_another_mode_is_another_collection(collection, tmp_path):
    path = collect(
        CollectionSettings("breakout", steps=STEPS, mode=np.int64(12), difficulty=1),
        workers=2,
        root=tmp_path,
        progress=False,
    )
    assert path.name == "breakout-random-seed0-600-mode12-difficulty1.h5"
    found = read(path)
    ours, theirs = dict(found.attributes), dict(collection.attributes)
    assert (ours.pop("mode"), ours.pop("difficulty")) == (12, 1)
    assert ours.pop("command") == f"{theirs.pop('command')} --mode 12 --difficulty 1"
    ours.pop("mean_return", None), theirs.pop("mean_return", None)
    assert ours == theirs
    assert not np.array_equal(found.ram, collection.ram)
    with pytest.raises(ConfigurationError, match="pong has no mode 7: choose from 0, 1"):
        collect(CollectionSettings("pong", steps=STEPS, mode=7), root=tmp_path, progress=False)


def test_random_dynamics_depend_on_the_game_alone(tmp_path):
    """One file for any number of workers; and a random policy's actions are the usual ones."""
    settings = CollectionSettings("breakout", steps=400, environment="challenge-v0")
    one, several, longer = (
        collect(replace(settings, steps=steps), workers=workers, root=root, progress=False)
        for workers, steps, root in (
            (1, 400, tmp_path),
            (3, 400, tmp_path / "several"),
            (2, 420, tmp_path),
        )
    )
    assert one.read_bytes() == several.read_bytes()
    found = read(one)
    assert found.attributes["environment"] == "challenge-v0"
    assert found.attributes["repeat_action_probability"] == 0.25
    np.testing.assert_array_equal(found.ram, read(longer).ram[:400])
    usual = read(
        collect(
            CollectionSettings("breakout", steps=50, environment="challenge"),
            root=tmp_path,
            progress=False,
        )
    )
    first = min(usual.episode_length[0], found.episode_length[0])
    np.testing.assert_array_equal(usual.actions[:first], found.actions[:first])
    assert (usual.ram[1:first] != found.ram[1:first]).any(1).all()


def test_an_agent_plays_the_same_games_in_colour(tmp_path, monkeypatch):
    (tmp_path / "watching.py").write_text(
        "def make(n_actions, rng):\n    return lambda view: int(view.sum()) % n_actions\n"
    )
    monkeypatch.chdir(tmp_path)
    luma, rgb = (
        read(
            collect(
                CollectionSettings("pong", steps=60, policy="watching:make", pixels=pixels),
                progress=False,
            )
        )
        for pixels in ("luma", "rgb")
    )
    assert len(set(luma.actions)) > 2
    np.testing.assert_array_equal(luma.actions, rgb.actions)
    np.testing.assert_array_equal(luma.ram, rgb.ram)


def test_a_colour_file_does_not_depend_on_who_plays_and_when(colour, tmp_path, monkeypatch):
    monkeypatch.setattr(collect_module, "SEGMENT_ROWS", 40)
    settings = CollectionSettings("breakout", steps=STEPS, pixels="rgb")

    def play_some_then_fail(path, n, frames, *_, **__):
        assert sum(1 for _ in islice(frames, 250)) == 250
        raise StoreError("the file cannot be written")

    with monkeypatch.context() as context:
        context.setattr(collect_module.store, "write_stream", play_some_then_fail)
        with pytest.raises(StoreError, match="what was played is kept"):
            collect(settings, workers=2, root=tmp_path, progress=False)
    segments = sorted(tmp_path.glob("*.partial/*-*.npz.zst"))
    segments[1].write_bytes(segments[1].read_bytes()[:-9])
    path = collect(settings, workers=1, root=tmp_path, progress=False)
    assert path.read_bytes() == colour.read_bytes()


def test_a_file_that_is_there_is_not_made_again(truth, monkeypatch):
    monkeypatch.setattr(collect_module, "WorkerPool", None)
    before = truth.stat()
    again = collect(
        CollectionSettings("ALE/Breakout-v5", steps=STEPS), workers=4, root=truth.parent
    )
    assert again == truth
    assert truth.stat() == before


def test_integers_of_any_kind(truth):
    settings = CollectionSettings("breakout", steps=np.int64(STEPS), seed=np.uint8(0))
    assert settings == CollectionSettings("breakout", steps=STEPS)
    assert collect(settings, workers=np.int32(2), root=truth.parent, progress=False) == truth


def test_what_a_kill_left_after_the_last_moment_is_removed(truth):
    folder = truth.with_name(f"{truth.name}.partial")
    folder.mkdir()
    assert (
        collect(CollectionSettings("breakout", steps=STEPS), root=truth.parent, progress=False)
        == truth
    )
    assert not folder.exists()


def test_a_damaged_file_that_is_there_is_an_error_and_stays(truth, tmp_path):
    path = tmp_path / truth.name
    path.write_bytes(truth.read_bytes()[:-1])
    with pytest.raises(StoreError, match="move it away and collect again"):
        collect(CollectionSettings("breakout", steps=STEPS), root=tmp_path, progress=False)
    assert path.exists()


def test_label_sets_have_files_of_their_own(tmp_path):
    upstream = collect(
        CollectionSettings("pong", steps=3, label_set="upstream"), root=tmp_path, progress=False
    )
    assert read(upstream).variables == annotation("pong", "upstream").variables
    assert "--label_set upstream" in read(upstream).attributes["command"]
    paper = collect(CollectionSettings("pong", steps=3), root=tmp_path, progress=False)
    assert paper != upstream
    both = collect(
        CollectionSettings("pong", steps=3, label_set="upstream", pixels="rgb"),
        root=tmp_path,
        progress=False,
    )
    assert both.name == "pong-random-seed0-3-rgb-upstream.h5"
    assert read(both).attributes["command"].endswith("--pixels rgb --label_set upstream")


def children(pid: int) -> list[int]:
    return [int(p) for p in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def is_running(pid: int) -> bool:
    try:
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_killed_and_started_again_it_makes_the_same_file(truth, tmp_path):
    for segments in (1, 5, 9, 15):
        process = start(tmp_path)
        wait_for_segments(tmp_path, segments, process)
        workers = children(process.pid)
        process.kill()
        process.communicate()
        assert not (tmp_path / truth.name).exists()
        deadline = time.monotonic() + 5
        while any(is_running(worker) for worker in workers):  # none goes on alone
            assert time.monotonic() < deadline
            time.sleep(0.01)
    out, err = start(tmp_path).communicate()
    assert out.strip() == str(tmp_path / truth.name), err
    assert (tmp_path / truth.name).read_bytes() == truth.read_bytes()
    assert not list(tmp_path.glob("*.partial"))


def test_segments_of_an_older_kind_are_played_again(truth, tmp_path):
    process = start(tmp_path)
    wait_for_segments(tmp_path, 3, process)
    process.kill()
    process.communicate()
    (folder,) = tmp_path.glob("*.partial")
    note = folder / "settings.json"
    note.write_text(note.read_text().replace('"piece_schema": 2', '"piece_schema": 1'))
    for segment in folder.glob("*.npz.zst"):
        segment_file.write(segment, {"words": np.zeros(3)})
    assert start(tmp_path).communicate()[0]
    assert (tmp_path / truth.name).read_bytes() == truth.read_bytes()


def test_damaged_segments_are_played_again(truth, tmp_path):
    process = start(tmp_path)
    wait_for_segments(tmp_path, 8, process)
    process.kill()
    process.communicate()
    segments = sorted(tmp_path.glob("*.partial/*-*.npz.zst"))
    segments[2].write_bytes(segments[2].read_bytes()[:1000])
    segments[4].unlink()
    (segments[0].parent / "half.h5.123.tmp").write_bytes(b"x")
    assert start(tmp_path).communicate()[0]
    assert (tmp_path / truth.name).read_bytes() == truth.read_bytes()


def test_going_on_when_all_is_played_does_not_wait_for_a_segment(truth, tmp_path, monkeypatch):
    monkeypatch.setattr(collect_module, "SEGMENT_ROWS", 2)  # many: workers become ready meanwhile
    settings = CollectionSettings("breakout", steps=STEPS)
    arguments = {"workers": 3, "root": tmp_path, "progress": False}

    def play_all_then_fail(path, n, frames, *_, **__):
        assert sum(1 for _ in islice(frames, n)) == n
        raise StoreError("the file cannot be written")

    with monkeypatch.context() as context:
        context.setattr(collect_module.store, "write_stream", play_all_then_fail)
        with pytest.raises(StoreError, match="cannot be written; what was played is kept"):
            collect(settings, **arguments)
    going_on = threading.Thread(target=collect, args=(settings,), kwargs=arguments, daemon=True)
    going_on.start()
    going_on.join(timeout=60)
    assert not going_on.is_alive()
    assert (tmp_path / truth.name).read_bytes() == truth.read_bytes()


def test_an_interrupt_says_how_to_go_on(truth, tmp_path):
    process = start(tmp_path)
    wait_for_segments(tmp_path, 3, process)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=20)
    assert process.returncode != 0
    assert out == ""
    assert re.search(r"KeyboardInterrupt: interrupted; .* of 600 steps .*do the same again", err)
    assert start(tmp_path).communicate()[0]
    assert (tmp_path / truth.name).read_bytes() == truth.read_bytes()


@pytest.mark.parametrize("locks", [True, False])
def test_two_processes_do_not_collect_the_same_thing_twice(truth, tmp_path, locks):
    first = start(tmp_path, locks=locks)
    wait_for_segments(tmp_path, 1, first)
    first.send_signal(signal.SIGSTOP)
    second = start(tmp_path, locks=locks)
    assert second.stderr is not None
    said = second.stderr.readline()
    assert "another process is collecting" in said
    assert ("if there is none, delete" in said) != locks
    first.send_signal(signal.SIGCONT)
    assert first.communicate()[0] == second.communicate()[0] != ""
    assert (tmp_path / truth.name).read_bytes() == truth.read_bytes()


def test_a_worker_that_dies_is_one_clear_error(truth, tmp_path, monkeypatch):
    started = []
    popen = subprocess.Popen

    def recorded(*args, **kwargs):
        started.append(popen(*args, **kwargs))
        return started[-1]

    monkeypatch.setattr(worker_pool.subprocess, "Popen", recorded)
    monkeypatch.setattr(collect_module, "SEGMENT_ROWS", 32)

    def kill() -> None:
        while not list(tmp_path.glob("*.partial/*-*.npz.zst")):
            time.sleep(0.002)
        started[1].kill()

    threading.Thread(target=kill).start()
    with pytest.raises(StoreError, match=r"killed by signal 9; .* do the same again to go on"):
        collect(
            CollectionSettings("breakout", steps=STEPS), workers=2, root=tmp_path, progress=False
        )
    assert all(process.poll() is not None for process in started)
    path = collect(
        CollectionSettings("breakout", steps=STEPS), workers=2, root=tmp_path, progress=False
    )
    assert path.read_bytes() == truth.read_bytes()


def test_a_worker_that_fails_says_why(tmp_path):
    (tmp_path / "file").touch()
    job = {"settings": {"game": "pong"}, "folder": f"{tmp_path}/file", "segment_rows": 4}
    with worker_pool.WorkerPool(1, job) as pool:
        pool.settings()
        pool.play(0, 0, 8)
        with pytest.raises(StoreError, match=r"^/.*/file/.* cannot be written: "):
            pool.report()


def test_workers_do_not_import_torch():
    folder = "lightning_stdim.datamodules."
    parts = ["collection.worker", "collection.game", "store", "emulator.emulator", "policies"]
    code = (
        f"import sys, {', '.join(folder + part for part in parts)}; "
        "sys.exit('torch' in sys.modules or 'pytorch_lightning' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"game": "pongg"}, "did you mean 'pong'"),
        ({"steps": 0}, "steps=0 must be at least 1"),
        ({"steps": -5}, "steps=-5 must be at least 1"),
        ({"workers": 0}, "workers=0 must be at least 1"),
        ({"seed": -1}, "seed=-1 must be at least 0"),
        ({"seed": 2**63}, f"seed={2**63} must be at least 0 and at most {2**63 - 1}"),
        ({"steps": 1.5}, "steps=1.5 must be an integer"),
        ({"steps": "10"}, "steps='10' must be an integer"),
        ({"policy": print}, "policy is <built-in function print>: give a name"),
        ({"policy": "best"}, "policy 'best' is unknown: choose one of random"),
        ({"pixels": "grey"}, "pixels='grey': choose 'luma' or 'rgb'"),
        ({"mode": "1"}, "mode='1' must be an integer"),
        ({"difficulty": -1}, "difficulty=-1 must be at least 0"),
        ({"label_set": "mine"}, "label set 'mine' is unknown"),
        ({"game": "battlezone", "label_set": "paper"}, "use label set 'upstream'"),
        ({"root": "/dev/null/data"}, "/dev/null/data cannot be written: Not a directory"),
    ],
)
def test_wrong_input_is_one_clear_message(tmp_path, wrong, message):
    where = {name: wrong.pop(name) for name in ("root", "workers") if name in wrong}

    def collect_it() -> None:
        settings = CollectionSettings(**{"game": "pong", "steps": 10} | wrong)
        collect(settings, **{"root": tmp_path, "progress": False} | where)

    with pytest.raises(LightningStdimError, match=message):
        collect_it()
    assert list(tmp_path.iterdir()) == []


def test_configuration_errors_are_value_errors():
    assert issubclass(ConfigurationError, ValueError)
