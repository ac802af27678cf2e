from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, f1_score

from lightning_stdim.errors import StoreError
from lightning_stdim.probes import ConvergedSettings, PaperSettings, evaluate_encoder
from lightning_stdim.runs.predictions import FILE, SHOWN, VALUES, Predictions
from tests.probes.games import Shift, game


@pytest.fixture(scope="module")
def evaluated():
    data = game()
    settings = {
        "paper": PaperSettings(max_epochs=8, lr=1e-2),
        "converged": ConvergedSettings(strengths=(1e-1, 1e-2)),
    }
    scores = evaluate_encoder(Shift(), data, **settings, progress=False)
    return data, scores, scores.predictions


def test_they_are_what_was_scored(evaluated, tmp_path):
    data, scores, found = evaluated
    Predictions.of(data, found).write(tmp_path)
    read = Predictions.read(tmp_path)
    assert read.variables == data.variables
    assert np.array_equal(read.rows, data.splits["test"])
    assert np.array_equal(read.labels, data.labels[data.splits["test"]])
    assert set(read.predicted) == {"paper", "converged"}
    for protocol, values in read.predicted.items():
        for v, name in enumerate(data.variables):
            truth, guess = read.labels[:, v], values[:, v]
            metrics = scores["protocols"][protocol]
            weighted = f1_score(truth, guess, average="weighted", zero_division=0)
            assert metrics["f1"]["variables"][name] == pytest.approx(weighted)
            accuracy = metrics["accuracy"]["variables"][name]
            assert accuracy == pytest.approx(accuracy_score(truth, guess))


def test_frames_are_those_of_their_rows(evaluated, tmp_path):
    data, _, found = evaluated
    predictions = Predictions.of(data, found)
    assert len(predictions.shown) == SHOWN
    assert (np.diff(predictions.shown) > 0).all()
    for frame, position in zip(predictions.frames, predictions.shown, strict=True):
        assert np.array_equal(frame, data.frames[predictions.rows[position]])


def test_of_a_large_split_evenly_spaced_frames_are_kept(evaluated):
    data, _, _ = evaluated
    n = 60_000
    rows = torch.arange(n) % len(data.frames)
    large = replace(data, frames=data.frames[rows], labels=data.labels[rows])
    large.splits["test"] = torch.arange(n)
    kept = Predictions.of(large, {"converged": large.labels})
    assert n / 2 < 2 * len(kept.rows) * 3 <= VALUES
    assert kept.rows[0] == 0
    assert kept.rows[-1] == n - 1
    assert np.ptp(np.diff(kept.rows)) <= 1
    assert np.array_equal(kept.predicted["converged"], large.labels[kept.rows])
    few = Predictions.of(replace(large, splits={"test": torch.arange(3)}), {})
    assert len(few.rows) == len(few.frames) == 3


def test_frames_with_most_objects_are_shown():
    data = game()
    # In Pong the ball is on the screen for labels of the middle only.
    labels = torch.zeros(300, 2, dtype=torch.int64)
    seen = torch.arange(243, 297, 7)
    labels[seen] = 120
    pong = replace(data, variables=("ball_x", "ball_y"), labels=labels)
    predictions = Predictions.of(pong, {"converged": labels[data.splits["test"]]})
    assert set(predictions.rows[predictions.shown]) <= set(seen.tolist())


def test_a_run_without_them_and_a_damaged_file(tmp_path):
    assert Predictions.read(tmp_path) is None
    for content in (b"", b"no archive"):
        (tmp_path / FILE).write_bytes(content)
        with pytest.raises(StoreError, match="remove it"):
            Predictions.read(tmp_path)
