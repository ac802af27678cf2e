from pathlib import Path

import pytest

from lightning_stdim.errors import ConfigurationError
from lightning_stdim.runs.directory import configuration_of, place_run, run_of_encoder


def made(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    return path


def test_a_new_run_overwrites_nothing(tmp_path):
    wanted = tmp_path / "run"
    assert place_run(wanted, None, named=False, resume=False) == (wanted, None)
    wanted.mkdir()
    assert place_run(wanted, None, named=True, resume=False) == (wanted, None)
    made(wanted / "config.yaml")
    assert place_run(wanted, None, named=True, resume=False) == (tmp_path / "run-2", None)


@pytest.mark.parametrize("which", ["last", "best"])
def test_the_newest_run_is_gone_on_with(which, tmp_path):
    made(tmp_path / "run" / "config.yaml")
    path = made(tmp_path / "run-2" / "checkpoints" / f"{which}.ckpt")
    found = place_run(tmp_path / "run", which, named=False, resume=True)
    assert found == (tmp_path / "run-2", str(path))
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
    assert place_run(run, "last", named=True, resume=True) == (run, str(own))
    assert configuration_of(str(run), "last") == config


def test_a_checkpoint_s_run_comes_first_unless_another_is_named(tmp_path):
    path = str(made(tmp_path / "moved" / "checkpoints" / "last.ckpt"))
    old = tmp_path / "old"
    for resume in (True, False):
        assert place_run(old, path, named=False, resume=resume) == (tmp_path / "moved", path)
        assert place_run(old, path, named=True, resume=resume) == (old, path)
    # Not in a run's folder: training from it is another run; what only reads it writes beside it.
    lone = str(made(tmp_path / "downloads" / "model.ckpt"))
    assert place_run(old, lone, named=False, resume=True) == (old, lone)
    assert place_run(old, lone, named=False, resume=False) == (tmp_path / "downloads", lone)


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
