"""What can happen to a collection's folder: one clear message, and nothing good is lost."""

import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from lightning_stdim.datamodules.atari import AtariDataModule
from lightning_stdim.datamodules.collection import segment_file
from lightning_stdim.datamodules.collection.collect import collect
from lightning_stdim.datamodules.collection.settings import CollectionSettings
from lightning_stdim.datamodules.collection.unfinished import UnfinishedCollection, segment_name
from lightning_stdim.errors import StoreError
from tests.datamodules.faults import mounted, nobody

STEPS = 600
CHECKOUT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def truth(tmp_path_factory) -> Path:
    return collect(
        CollectionSettings("breakout", steps=STEPS),
        root=tmp_path_factory.mktemp("truth"),
        progress=False,
    )


def command(root: Path, file_size: int = -1) -> "subprocess.CompletedProcess[str]":
    """Collect by the command line, with a limit on the size of files."""
    return subprocess.run(
        [
            *f"{sys.executable} -m lightning_stdim collect --game breakout --workers 2".split(),
            *("--steps", str(STEPS), "--root", str(root)),
        ],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (file_size, file_size)),
        env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
        capture_output=True,
        text=True,
    )


def assert_one_message(run: "subprocess.CompletedProcess[str]", words: str) -> None:
    assert run.returncode == 2, run.stderr
    assert "Traceback" not in run.stderr
    assert run.stderr.count("error") == 1
    assert words in run.stderr.splitlines()[-1]
    assert "do the same again to go on" in run.stderr.splitlines()[-1]


@pytest.mark.parametrize("share", [0.3, 0.98])  # a segment does not fit, the file does not
def test_a_file_that_may_not_grow(truth, tmp_path, share):
    assert_one_message(command(tmp_path, int(share * truth.stat().st_size)), "File too large")
    assert not list(tmp_path.glob("*.h5")) + list(tmp_path.glob("*/*.tmp"))
    assert command(tmp_path).returncode == 0
    assert (tmp_path / truth.name).read_bytes() == truth.read_bytes()


def test_a_full_disk(truth, tmp_path):
    with mounted(tmp_path / "disk", "mount -t tmpfs -o size=150k tmpfs {}"):
        root = tmp_path / "disk" / "data"
        assert_one_message(command(root), "No space left on device")
        kept = sorted(root.glob("*.partial/*-*.npz.zst"))
        assert kept
        subprocess.run(["mount", "-o", "remount,size=9m", tmp_path / "disk"], check=True)
        before = [segment.stat().st_mtime_ns for segment in kept]
        shutil.copytree(root, tmp_path / "copy")
        assert [segment.stat().st_mtime_ns for segment in kept] == before
        assert command(root).returncode == 0
        assert (root / truth.name).read_bytes() == truth.read_bytes()


def test_a_read_only_disk_is_good_for_reading(truth, tmp_path):
    ours = truth.parent
    with mounted(tmp_path / "disk", f"mount --bind {ours} {{}}", "mount -o remount,ro,bind {}"):
        root = tmp_path / "disk"
        assert (
            collect(CollectionSettings("breakout", steps=STEPS), root=root, progress=False).parent
            == root
        )
        with pytest.raises(StoreError, match="disk cannot be written: Read-only file system"):
            collect(CollectionSettings("breakout", steps=STEPS + 1), root=root, progress=False)


def test_a_folder_of_someone_else(tmp_path):
    folder = tmp_path / "private"
    folder.mkdir(mode=0o700 if os.geteuid() == 0 else 0)
    with nobody(), pytest.raises(StoreError, match="cannot be written: Permission denied"):
        collect(CollectionSettings("breakout", steps=STEPS), root=folder, progress=False)
    folder.chmod(0o700)


def test_the_lock_of_a_dead_process_is_in_nobodys_way(tmp_path):
    (tmp_path / ".pong-random-seed0-3.h5.lock").write_text("99999999")
    assert collect(CollectionSettings("pong", steps=3), root=tmp_path, progress=False).exists()


def test_a_damaged_segment_is_removed(tmp_path):
    unfinished = UnfinishedCollection(tmp_path / "a.partial", {"seed": 0})
    segment = unfinished.folder / segment_name(0, 0, 5, True)
    segment_file.write(segment, {"x": np.arange(5)})
    good = segment.read_bytes()
    assert UnfinishedCollection(unfinished.folder, {"seed": 0}).reached() == 5
    for damaged in (good[:-1], good[:20] + bytes([good[20] ^ 16]) + good[21:], b""):
        segment.write_bytes(damaged)
        assert UnfinishedCollection(unfinished.folder, {"seed": 0}).reached() == 0
        assert not segment.exists()


def test_the_data_module_reads_nothing_damaged(small, tmp_path):
    rng = np.random.default_rng(0)
    for stage in ("pretrain", "probe"):
        good = AtariDataModule("pong", **small).collect(stage)
        copy = shutil.copy(good, tmp_path)
        arguments = {**small, "root": str(tmp_path)}
        for position in rng.integers(512, good.stat().st_size, 5).tolist():
            with open(copy, "r+b") as file:
                file.seek(position)
                byte = file.read(1)
                file.seek(position)
                file.write(bytes([byte[0] ^ 2]))
            data = AtariDataModule("pong", stage=stage, **arguments)
            message = r"is damaged, or .* SHA-256 .* collect again with"
            with pytest.raises(StoreError, match=message):
                data.setup("fit")
            with pytest.raises(StoreError, match=message):
                data.collect(stage)
            shutil.copy(good, tmp_path)


def test_killed_at_random_moments(tmp_path):
    """The campaign recorded in results/studies, in short."""
    script = CHECKOUT / "studies" / "faults.py"
    options = ["--kills", "2", "--at-once", "1", "--settings", "1", "--out"]
    subprocess.run(
        [sys.executable, script, *options, tmp_path / "record.json"],
        env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
        check=True,
    )
