import csv
import json

import pytest

from lightning_stdim.errors import StoreError
from lightning_stdim.probes import (
    ChallengeSettings,
    ConvergedSettings,
    Supervised,
    evaluate_encoder,
    majority,
)
from lightning_stdim.probes.metrics import report_f1
from lightning_stdim.report.names import REPORT_F1
from lightning_stdim.runs.finish import evaluate, write_record
from lightning_stdim.runs.key import RunKey
from lightning_stdim.runs.predictions import FILE, Predictions
from lightning_stdim.runs.results import read_results
from tests.probes.games import Shift, game

KEY = RunKey("pong", "mine.Mine", 1, (("mode", "3"),), RunKey("breakout", "mine.Mine", 1))
REST = {"key": KEY, "preset": "laptop", "budget": {"epochs": 2}, "command": "probe"}
QUICK = {
    "protocols": ["converged"],
    "converged": ConvergedSettings(strengths=(1e-1,)),
    "progress": False,
}


def test_the_record_is_what_was_found(tmp_path):
    data = game()
    found = evaluate(Shift(), data, seed=3, **QUICK)
    assert found == evaluate_encoder(Shift(), data, seed=3, **QUICK)
    with (tmp_path / "metrics.csv").open("w") as file:
        csv.writer(file).writerows([["epoch", "train/loss"], [0, 1.5], [1, 1.0]])
    path = write_record(tmp_path, found, data, **REST)
    results = read_results(path)
    assert results["scores"] == json.loads(json.dumps(found.to_dict()))
    assert RunKey.of_record(results) == KEY
    assert (results["game"], results["method"], results["seed"]) == ("pong", "mine.Mine", 1)
    assert results["variant"] == KEY.variant == "from=breakout,probe.mode=3"
    assert results["budget"] == {"epochs": 2}
    assert set(Predictions.read(tmp_path).predicted) == {"converged"}
    assert (tmp_path / "curves.png").is_file()
    assert not (tmp_path / "encoder").exists()


def test_results_come_last(tmp_path):
    """What fails on the way leaves a run that is not finished."""
    data = game()
    found = evaluate(Shift(), data, **QUICK)
    with pytest.raises(StoreError, match="no checkpoint"):
        write_record(tmp_path, found, data, **REST, checkpoint=tmp_path / "missing.ckpt")
    assert (tmp_path / FILE).is_file()
    assert not (tmp_path / "results.json").exists()


def test_the_most_frequent_label_has_no_picture(tmp_path):
    data = game()
    found = evaluate(None, data)
    assert found == majority(data)
    write_record(tmp_path, found, data, **REST)
    assert [path.name for path in tmp_path.iterdir()] == ["results.json"]


@pytest.mark.parametrize("model", [None, Supervised()])
def test_what_no_probe_scores_has_the_reports_f1_if_it_is_asked_for(model, monkeypatch):
    data = game()
    # In place of heads that would have to be trained.
    monkeypatch.setattr(Supervised, "scores", lambda self: majority(data))
    asked = {"protocols": ["challenge"], "challenge": ChallengeSettings(batch_size=16)}
    found = evaluate(None, data, model=model, seed=5, **asked)
    truth = data.labels[data.splits["test"]]
    expected = report_f1(found.predictions["majority"], truth, batch_size=16, seed=5)
    table = found["protocols"]["majority"]
    assert list(table[REPORT_F1]["variables"].values()) == expected.tolist()
    usual = evaluate(None, data, model=model, seed=5, **QUICK)["protocols"]["majority"]
    assert table == usual | {REPORT_F1: table[REPORT_F1]}
    assert REPORT_F1 not in usual
