import errno
import fcntl
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from subprocess import PIPE, Popen
from threading import Barrier

import pytest

from lightning_stdim.errors import ConfigurationError, StoreError
from lightning_stdim.runs.directory import (
    DirectoryTakenError,
    claim_run,
    clear_run,
    configuration_of,
    hold_run,
    place_run,
    run_of_encoder,
)


def made(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    return path


@pytest.fixture(params=[False, True], ids=["locks", "no-locks"])
def without_locks(request, monkeypatch) -> bool:
    """Whether locks fail, as on a file system that has none."""

    def flock(*_: object) -> None:
        raise OSError(errno.ENOLCK, "no locks")

    if request.param:
        monkeypatch.setattr(fcntl, "flock", flock)
    return bool(request.param)


@pytest.mark.parametrize("empty", [False, True])
def test_a_new_run_gets_a_directory_that_is_new_or_empty(tmp_path, empty):
    wanted = tmp_path / "runs" / "run"
    if empty:
        wanted.mkdir(parents=True)
    for number in (False, True):
        with claim_run(wanted, number=number) as folder:
            assert folder == wanted
            assert folder.is_dir()
        assert (tmp_path / "runs").exists() == wanted.exists() == empty  # nothing was written
    assert not list(tmp_path.rglob(".lock"))


def test_a_directory_with_something_in_it_is_refused_or_numbered(tmp_path):
    wanted = tmp_path / "run"
    mine = made(wanted / "config.yaml")  # which only the user can have put there
    with pytest.raises(DirectoryTakenError, match="is not empty: give another --out"):
        claim_run(wanted).__enter__()
    made(tmp_path / "run-2")  # a file
    with claim_run(wanted, number=True) as folder:
        assert folder == tmp_path / "run-3"
        made(folder / "checkpoints" / "last.ckpt")
    with pytest.raises(DirectoryTakenError, match=r"run-3 holds a run already: .*--ckpt_path last"):
        claim_run(folder).__enter__()
    assert [path.name for path in wanted.iterdir()] == [mine.name]


def test_processes_that_start_together_get_directories_of_their_own(tmp_path, without_locks):
    def claim(_: int) -> Path:
        start.wait()
        with claim_run(tmp_path / "runs" / "run", number=True) as folder:
            start.wait()  # until all have one
            return folder

    start = Barrier(8, timeout=60)
    with ThreadPoolExecutor(8) as pool:
        folders = list(pool.map(claim, range(8)))
    names = {folder.name for folder in folders}
    assert names == {"run", *(f"run-{k}" for k in range(2, 9))}
    assert not list(tmp_path.glob("runs/*/*"))


def test_a_directory_is_not_shared_while_others_make_and_remove_it(tmp_path):
    inside: list[int] = []

    def claim(number: int) -> int:
        claims = 0
        for _ in range(200):
            with suppress(DirectoryTakenError), claim_run(tmp_path / "runs" / "run") as folder:
                inside.append(number)
                assert inside == [number]
                assert (folder / ".lock").exists()
                inside.remove(number)
                claims += 1
        return claims

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(claim, range(4))) > 0
    assert not list(tmp_path.glob("runs/*/*"))


def test_a_run_that_is_used_is_neither_claimed_nor_gone_on_with(tmp_path, without_locks):
    run = tmp_path / "run"
    with claim_run(run):
        for take in (claim_run, hold_run):
            with pytest.raises(DirectoryTakenError, match="run is in use by another process: wait"):
                take(run).__enter__()
        clear_run(run)
        made(run / "checkpoints" / "last.ckpt")
    with hold_run(run), pytest.raises(DirectoryTakenError, match="in use"):
        hold_run(run).__enter__()
    clear_run(run)
    assert not run.exists()


HOLD = """
import sys
from pathlib import Path
from lightning_stdim.runs.directory import claim_run
with claim_run(Path(sys.argv[1])) as folder:
    (folder / "config.yaml").touch()
    (folder / sys.argv[2]).touch()
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.mark.parametrize(("written", "trained"), [("metrics.csv", False), ("x.ckpt", True)])
def test_a_killed_run_is_in_nobody_s_way(tmp_path, written, trained):
    run = tmp_path / "run"
    command = [sys.executable, "-c", HOLD, str(run), written]
    with Popen(command, stdin=PIPE, stdout=PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        with pytest.raises(DirectoryTakenError, match="in use"):
            hold_run(run).__enter__()
        process.kill()
    with hold_run(run):
        pass
    if trained:
        with pytest.raises(DirectoryTakenError, match="is not empty"):
            claim_run(run).__enter__()
    else:
        with claim_run(run) as folder:
            assert [path.name for path in folder.iterdir()] == [".lock"]


@pytest.mark.parametrize("written", ["config.yaml", "tensorboard/events", "metrics.csv", "x.ckpt"])
def test_a_run_that_fails_leaves_its_directory_only_if_it_has_trained(tmp_path, written):
    trained = written in ("metrics.csv", "x.ckpt")
    file = tmp_path / "runs" / "run" / written
    with suppress(KeyboardInterrupt), claim_run(tmp_path / "runs" / "run") as folder:
        made(file)
        (folder / "checkpoints").mkdir()
        raise KeyboardInterrupt
    assert (tmp_path / "runs").exists() == trained == file.exists()


def test_a_directory_that_cannot_be_made(tmp_path):
    made(tmp_path / "file")
    for wanted in (tmp_path / "file" / "run", Path("/proc/nowhere/run")):
        with pytest.raises(StoreError, match=r"cannot be written .*choose another directory"):
            claim_run(wanted, number=True).__enter__()


@pytest.mark.parametrize("which", ["last", "best"])
def test_the_newest_run_is_gone_on_with(which, tmp_path):
    for name in ("run", "run-2", "run-x", "rerun-9"):
        made(tmp_path / name / "config.yaml")
    path = made(tmp_path / "run-10" / "checkpoints" / f"{which}.ckpt")
    found = place_run(tmp_path / "run", which, named=False, resume=True)
    assert found == (tmp_path / "run-10", str(path), True)
    path.unlink()
    with pytest.raises(ConfigurationError, match="name the run's directory with --out"):
        place_run(tmp_path / "run", which, named=False, resume=True)


def test_a_directory_that_is_named_is_gone_on_with_itself(tmp_path):
    """Its configuration is read, so that another run's checkpoint would be mixed with it."""
    run = tmp_path / "run"
    config = made(run / "config.yaml")
    made(tmp_path / "run-2" / "checkpoints" / "last.ckpt")
    with pytest.raises(ConfigurationError, match=r"no .*/run/checkpoints/last\.ckpt"):
        place_run(run, "last", named=True, resume=True)
    own = made(run / "checkpoints" / "last.ckpt")
    assert place_run(run, "last", named=True, resume=True) == (run, str(own), True)
    for resume in (True, False):
        assert place_run(run, str(own), named=True, resume=resume) == (run, str(own), True)
    assert configuration_of(str(run), "last") == config


def test_a_checkpoint_s_run_comes_first_unless_another_is_named(tmp_path):
    path = str(made(tmp_path / "moved" / "checkpoints" / "last.ckpt"))
    old = tmp_path / "old"
    for resume in (True, False):
        moved = tmp_path / "moved"
        assert place_run(old, path, named=False, resume=resume) == (moved, path, True)
        assert place_run(old, path, named=True, resume=resume) == (old, path, False)
    assert place_run(old, None, named=True, resume=False) == (old, None, False)
    # Not in a run's folder: training from it is another run; what only reads it writes beside it.
    lone = str(made(tmp_path / "downloads" / "model.ckpt"))
    downloads = tmp_path / "downloads"
    assert place_run(old, lone, named=False, resume=True) == (old, lone, False)
    assert place_run(downloads, lone, named=True, resume=True) == (downloads, lone, False)
    assert place_run(old, lone, named=False, resume=False) == (downloads, lone, True)


def test_the_configuration_is_that_of_the_run_named(tmp_path):
    config = made(tmp_path / "run" / "config.yaml")
    run = str(tmp_path / "run")
    checkpoint = f"{run}/checkpoints/last.ckpt"
    assert configuration_of(run, "last") == config
    assert configuration_of(None, checkpoint) == config
    assert configuration_of("elsewhere", checkpoint) == config
    for out, given in ((None, "last"), (run, None), (None, None), (str(tmp_path), "last")):
        assert configuration_of(out, given) is None


def test_the_run_of_an_encoder(tmp_path, monkeypatch):
    run = tmp_path / "run"
    for name in ("encoder/config.json", "checkpoints/best.ckpt", "best.ckpt", "other/config.json"):
        made(run / name)
    assert run_of_encoder(run / "encoder") == run_of_encoder(run / "checkpoints/best.ckpt") == run
    for name in ("best.ckpt", "other", "other/config.json", "checkpoints", "encoder/config.json"):
        assert run_of_encoder(run / name) is None
    monkeypatch.chdir(run)
    assert run_of_encoder("encoder") == run
