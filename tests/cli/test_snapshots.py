"""``fit --snapshots``: training is the same, and the encoders can be probed."""

import pytest
import torch
import yaml

from lightning_stdim.cli import main
from tests.cli.helpers import metrics, probe, results, weights


def test_training_is_the_same_with_and_without(shrunk, narrow, small, tmp_path, capsys):
    """Interrupted and resumed, too: snapshots of the second part are those of a whole run."""
    shrunk = [*shrunk, *narrow]
    long = [*shrunk, "--trainer.max_epochs=2"]
    assert main(["fit", *long, "--out=without"]) == 0
    assert main(["fit", *long, "--out=with", "--snapshots=0,2,5,6,9"]) == 0
    assert main(["fit", *shrunk, "--out=parts", "--snapshots=0,2,5"]) == 0
    (tmp_path / "parts" / "results.json").unlink()
    assert main(["fit", *long, "--out=parts", "--ckpt_path=last"]) == 0  # its configuration's
    without, whole, parts = (tmp_path / name for name in ("without", "with", "parts"))
    expected = weights(without / "checkpoints" / "last.ckpt")
    for run in (whole, parts):
        for name, value in weights(run / "checkpoints" / "last.ckpt").items():
            assert torch.equal(value, expected[name])
        assert results(run)["scores"] == results(without)["scores"]
    for column in ("train/loss", "val/loss"):
        assert [row[column] for row in metrics(whole)] == [row[column] for row in metrics(without)]
    for name, value in weights(whole / "snapshots" / "step6.ckpt").items():
        assert torch.equal(value, expected[name])
    for step in (0, 2, 5):
        for name, value in weights(whole / "snapshots" / f"step{step}.ckpt").items():
            assert torch.equal(value, weights(parts / "snapshots" / f"step{step}.ckpt")[name])
    assert {path.name for path in (parts / "snapshots").iterdir()} == {
        "step0.ckpt",
        "step2.ckpt",
        "step5.ckpt",
    }
    assert yaml.safe_load((parts / "config.yaml").read_text())["snapshots"] == "0,2,5"

    assert main([*probe(small, "with/snapshots/step2.ckpt"), "--out=probed"]) == 0
    key = results(whole)["key"]
    assert results(tmp_path / "probed")["key"] == {
        **key,
        "options": [["checkpoint", "step2"]],
        "source": key,
    }
    assert main(["validate", "--ckpt_path=with/snapshots/step2.ckpt"]) == 0
    capsys.readouterr()
    assert main(["fit", *shrunk, "--ckpt_path=with/snapshots/step2.ckpt"]) == 2
    assert "holds weights alone" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("steps", "said"), [("5,2", "2 follows 5"), ("2,x", "'x' is not"), ("-1", "at least 0")]
)
def test_wrong_steps_are_refused_before_anything_is_written(steps, said, shrunk, tmp_path, capsys):
    for words in (["fit", *shrunk], ["benchmark", "--methods=st-dim", "--preset=smoke"]):
        assert main([*words, f"--snapshots={steps}", "--out=run"]) == 2
        assert said in capsys.readouterr().err
        assert not (tmp_path / "run").exists()
