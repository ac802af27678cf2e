"""Where commands write: in directories of their own, which they do not share."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from lightning_stdim.cli import main
from lightning_stdim.runs.directory import claim_run, hold_run
from tests.cli.helpers import metrics, probe, results


def files(folder):
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_two_runs_that_start_together_get_a_directory_each(shrunk, narrow, tmp_path, capsys):
    first, second = (tmp_path / "runs" / f"breakout-STDIM-seed0{k}" for k in ("", "-2"))
    with claim_run(first):  # as it is while another process collects
        assert main(["fit", *shrunk, *narrow]) == 0
    assert not first.exists()
    assert f"run directory: {second.relative_to(tmp_path)}" in capsys.readouterr().out
    assert {"config.yaml", "metrics.csv", "results.json", "checkpoints/last.ckpt"} < files(second)
    with hold_run(second):
        assert main(["fit", f"--out={second}", "--ckpt_path=last"]) == 2
    assert f"{second} is in use by another process: wait for it" in capsys.readouterr().err


def test_a_name_that_was_typed_is_not_changed(shrunk, narrow, small, tmp_path, capsys):
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "notes.txt").touch()
    for words in (["fit", *shrunk, *narrow], probe(small, "random")):
        assert main([*words, "--out=taken"]) == 2
        assert "error: taken is not empty: give another --out" in capsys.readouterr().err
        with claim_run(tmp_path / "new"):
            assert main([*words, "--out=new"]) == 2
        assert "error: new is in use by another process" in capsys.readouterr().err
    assert files(tmp_path) == {"taken/notes.txt"}


BROKEN = """
from pytorch_lightning import Callback
class Broken(Callback):
    def on_train_batch_start(self, *arguments):
        raise {}
"""


@pytest.mark.parametrize("error", ["ArithmeticError", "KeyboardInterrupt"])
def test_a_run_that_fails_before_it_has_trained_leaves_no_directory(
    error, shrunk, narrow, tmp_path, monkeypatch
):
    (tmp_path / "broken.py").write_text(BROKEN.format(error))
    monkeypatch.delitem(sys.modules, "broken", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    words = ["fit", *shrunk, *narrow, "--trainer.callbacks+=broken.Broken"]
    for out in ([], ["--out=folders/run"]):
        if error == "KeyboardInterrupt":
            assert main([*words, *out]) == 130
        else:
            with pytest.raises(ArithmeticError):
                main([*words, *out])
    assert not (tmp_path / "runs").exists()
    assert not (tmp_path / "folders").exists()


def test_features_go_to_the_directory_that_was_typed(shrunk, narrow, tmp_path, capsys):
    assert main(["fit", *shrunk, *narrow, "--out=run"]) == 0
    predict = ["predict", "--ckpt_path=run/checkpoints/last.ckpt"]
    assert main([*predict, "--out=features"]) == 0
    assert files(tmp_path / "features") == {".lock", "features.npz"}
    capsys.readouterr()
    assert main([*predict, "--out=features"]) == 2
    assert "features is not empty" in capsys.readouterr().err
    # The run's own directory is not another one.
    assert main(["fit", "--out=run", *predict[1:], "--trainer.max_epochs=2"]) == 0
    assert results(tmp_path / "run")["budget"]["epochs"] == 2
    assert not (tmp_path / "run-2").exists()


def test_the_ranks_of_a_run_share_one_directory(shrunk, narrow, tmp_path):
    """Only the first one claims it, and the others learn its number."""
    (tmp_path / "runs" / "breakout-STDIM-seed0").mkdir(parents=True)
    (tmp_path / "runs" / "breakout-STDIM-seed0" / "notes.txt").touch()
    words = [*shrunk, *narrow, "--trainer.devices=2", "--trainer.strategy=ddp"]
    subprocess.run(
        [sys.executable, "-m", "lightning_stdim", "fit", *words],
        check=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    run = tmp_path / "runs" / "breakout-STDIM-seed0-2"
    assert {path.name for path in (tmp_path / "runs").iterdir()} == {run.name[:-2], run.name}
    assert {"config.yaml", "checkpoints/best.ckpt", "results.json"} < files(run)
    assert len(metrics(run)) == 2  # the training's and the validation's, once
