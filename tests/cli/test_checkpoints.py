"""``validate``, ``test``, ``predict`` and ``probe`` on the checkpoint of a run."""

import numpy as np
import pytest

from lightning_stdim.cli import main
from tests.cli.helpers import PROBE_STEPS, probe, results


def test_validate_test_predict_and_probe_on_a_checkpoint(shrunk, small, tmp_path, capsys):
    assert main(["fit", *shrunk, "--out", "run"]) == 0
    checkpoint = str(tmp_path / "run" / "checkpoints" / "best.ckpt")
    assert main(["validate", *shrunk, "--ckpt_path", checkpoint]) == 0
    assert "val/loss" in capsys.readouterr().out
    assert main(["test", *shrunk, "--ckpt_path", checkpoint]) == 0
    assert "mean over categories" in capsys.readouterr().out
    assert main(["predict", *shrunk, "--ckpt_path", checkpoint]) == 0
    features = np.load(tmp_path / "run" / "features.npz")
    assert features["features"].shape == (PROBE_STEPS, 256)
    assert len(features["labels"]) == PROBE_STEPS
    again = ["predict", *shrunk, "--ckpt_path", checkpoint]
    assert main([*again, "--trainer.fast_dev_run=true"]) == 0
    assert "not written" in capsys.readouterr().out
    assert not (tmp_path / "run" / "features-partial.npz").exists()
    assert main([*again, "--trainer.limit_predict_batches=2"]) == 0
    some = np.load(tmp_path / "run" / "features-partial.npz")
    assert len(some["features"]) == 2 * 16
    np.testing.assert_allclose(some["features"], features["features"][some["positions"]])
    assert np.array_equal(some["labels"], features["labels"][some["positions"]])
    assert len(np.load(tmp_path / "run" / "features.npz")["features"]) == PROBE_STEPS
    assert main([*again, "--trainer.limit_predict_batches=0"]) == 2
    assert "trainer.limit_predict_batches" in capsys.readouterr().err
    (tmp_path / "same.yaml").write_text(
        "converged: {strengths: [0.1], search_tolerance: 0.1, tolerance: 0.01}"
    )
    assert main([*probe(small, checkpoint), "--seed=0", "--preset=same.yaml"]) == 0
    found = results(tmp_path / "runs" / "breakout-probe-st-dim-seed0")
    again = results(tmp_path / "run")
    assert found["key"] == {**again["key"], "source": again["key"]}  # the same run's, once more
    assert found["scores"]["protocols"]["converged"] == again["scores"]["protocols"]["converged"]


@pytest.mark.parametrize("model", ["RandomCNN", "Supervised"])
def test_a_checkpoint_brings_the_settings_of_its_run(model, shrunk, tmp_path, capsys):
    assert main(["fit", *shrunk, f"--model={model}", "--out=run"]) == 0
    checkpoint = "run/checkpoints/best.ckpt"
    capsys.readouterr()
    assert main(["test", f"--ckpt_path={checkpoint}"]) == 0
    assert "breakout, label set paper" in capsys.readouterr().out
    assert main(["validate", f"--ckpt_path={checkpoint}"]) == 0
    assert main(["predict", "--ckpt_path=best", "--out=run"]) == 0
    features = np.load(tmp_path / "run" / "features.npz")
    assert set(features["variables"]) == set(
        results(tmp_path / "run")["scores"]["protocols"]["paper"]["f1"]["variables"]
    )
    if model == "Supervised":  # its heads are another game's
        capsys.readouterr()
        assert main(["validate", f"--ckpt_path={checkpoint}", "--data.game=spaceinvaders"]) == 2
        assert "the checkpoint's heads are for" in capsys.readouterr().err


def test_the_configuration_is_the_run_s_whatever_logger_and_characters(
    shrunk, narrow, tmp_path, capsys
):
    """It was where another logger wrote, or taken for a pattern, and silently not read."""
    words = [*shrunk, *narrow, "--trainer.logger=CSVLogger", "--trainer.logger.save_dir=logs"]
    out = "runs[1]*/run"
    assert main(["fit", *words, f"--out={out}"]) == 0
    assert list(tmp_path.rglob("config.yaml")) == [tmp_path / out / "config.yaml"]
    checkpoint = f"--ckpt_path={out}/checkpoints/last.ckpt"
    assert main(["validate", checkpoint]) == 0
    (tmp_path / out / "config.yaml").rename(tmp_path / "mine[1].yaml")
    capsys.readouterr()
    for words in (
        ["validate", checkpoint],
        ["test", checkpoint],
        ["predict", f"--out={out}", "--ckpt_path=last"],
        ["fit", f"--out={out}", "--ckpt_path=last"],
    ):
        assert main(words) == 2
        assert f"there is no {out}/config.yaml" in capsys.readouterr().err
    assert main(["validate", checkpoint, "--config=mine[1].yaml"]) == 0
    assert not (tmp_path / "data").exists()  # where another configuration's frames would be


def test_a_run_that_is_found_by_its_game_brings_its_settings_too(shrunk, narrow, tmp_path):
    assert main(["fit", *shrunk, *narrow]) == 0
    assert main(["validate", "--data.game=breakout", "--ckpt_path=best"]) == 0
    assert not (tmp_path / "data").exists()
