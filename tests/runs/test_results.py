from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lightning_stdim.errors import StoreError
from lightning_stdim.probes import Evaluation
from lightning_stdim.runs.key import RunKey
from lightning_stdim.runs.results import is_complete, read_results, write_results
from tests.results import scores_of

KEY = {"game": "pong", "method": "st-dim", "seed": 0}
METRICS = {metric: scores_of({"ball_x": 0.5}) for metric in ("f1", "accuracy")}


def test_what_is_written_is_read_again(tmp_path: Path, make_result) -> None:
    path = write_results(tmp_path / "run", make_result())
    assert path == tmp_path / "run" / "results.json"
    assert read_results(path) == read_results(tmp_path / "run") == make_result()
    assert is_complete(tmp_path / "run")


def test_a_key_is_kept(tmp_path: Path, make_result) -> None:
    source = RunKey("boxing", "st-dim", 0, (("steps", "3000"),))
    key = RunKey("pong", "st-dim", 0, (("hidden", "256"),), source)
    write_results(tmp_path, make_result(key=key.to_dict()))
    assert RunKey.of_record(read_results(tmp_path)) == key


def test_an_evaluation_is_written_as_plain_data(tmp_path: Path, make_result) -> None:
    plain = make_result()
    evaluation = Evaluation(
        game="pong",
        label_set="paper",
        label_set_version=2,
        protocols=plain["scores"]["protocols"],
        entropies={"ball_x": 1.0},
        dropped={},
        provenance={},
        settings={"strengths": (0.1, 1.0)},
    )
    write_results(tmp_path, {**plain, "scores": evaluation})
    found = read_results(tmp_path)["scores"]
    assert found["protocols"] == plain["scores"]["protocols"]
    assert found["entropies"] == {"ball_x": 1.0}
    assert found["settings"] == {"strengths": [0.1, 1.0]}


def test_schema_number_is_added(tmp_path: Path, make_result) -> None:
    result = make_result()
    del result["schema"]
    write_results(tmp_path, result)
    assert json.loads((tmp_path / "results.json").read_text())["schema"] == 1


def test_undefined_scores_become_null(tmp_path: Path, make_result) -> None:
    write_results(tmp_path, make_result(values=(math.nan, 0.4, math.inf)))
    f1 = read_results(tmp_path)["scores"]["protocols"]["paper"]["f1"]
    assert f1["variables"] == {"ball_x": None, "ball_y": 0.4, "player_y": None}


def test_a_folder_without_results_is_not_complete(tmp_path: Path) -> None:
    assert not is_complete(tmp_path)
    assert not is_complete(tmp_path / "missing")
    with pytest.raises(StoreError, match="does not exist; has the run finished"):
        read_results(tmp_path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"schema": 2}, "its schema is 2; run again"),
        ({"seed": "0"}, "'seed' is of type str"),
        ({"scores": {"protocols": {}}}, "names no protocol"),
        ({"scores": {"protocols": {"paper": {}}}}, "protocol 'paper' has no 'f1'"),
        (
            {"scores": {"protocols": {"paper": {"f1": {}, "accuracy": {}}}}},
            "'f1' of protocol 'paper' has no 'categories'",
        ),
        (
            {"scores": {"protocols": {"paper": METRICS}, "controls": {"shuffled": {}}}},
            "control 'shuffled' has no 'f1'",
        ),
        ({"scores": {"protocols": {"paper": METRICS}, "controls": []}}, "'controls' is no object"),
        ({"key": "st-dim"}, "its key cannot be read: a run's key needs a 'game'"),
        ({"key": {**KEY, "seed": "0"}}, "needs a 'seed' of type int"),
        ({"key": {**KEY, "options": [["steps", 3000]]}}, "expected a name and a value, both text"),
        ({"key": {**KEY, "options": ["ab"]}}, "expected a name and a value, both text"),
        ({"key": {**KEY, "options": 3}}, "its key cannot be read"),
        ({"key": {**KEY, "source": {"game": "pong"}}}, "needs a 'method' of type str"),
        ({"key": {**KEY, "seed": 1}}, "its key is of seed 1, its seed is 0"),
        ({"key": {**KEY, "method": "vae"}}, "its key is of method 'vae', its method is 'st-dim'"),
    ],
)
def test_another_form_is_refused(tmp_path: Path, make_result, changes, message: str) -> None:
    with pytest.raises(StoreError, match=message):
        write_results(tmp_path, make_result(**changes))
    assert not any(tmp_path.iterdir())
    (tmp_path / "results.json").write_text(json.dumps(make_result(**changes)))
    for use in (read_results, is_complete):
        with pytest.raises(StoreError, match=message):
            use(tmp_path)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "\x00"])
def test_damaged_file_is_one_clear_error(tmp_path: Path, text: str) -> None:
    (tmp_path / "results.json").write_text(text)
    with pytest.raises(StoreError, match=r"results\.json"):
        read_results(tmp_path)


def test_a_failing_write_leaves_the_old_file(tmp_path: Path, make_result, monkeypatch) -> None:
    write_results(tmp_path, make_result(seed=1))

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StoreError, match="No space left"):
        write_results(tmp_path, make_result(seed=2))
    assert read_results(tmp_path)["seed"] == 1
    assert [path.name for path in tmp_path.iterdir()] == ["results.json"]


def test_what_json_cannot_say_is_refused(tmp_path: Path, make_result) -> None:
    with pytest.raises(StoreError, match="cannot write"):
        write_results(tmp_path, make_result(environment={"path": Path("x")}))


def test_a_root_that_is_no_folder(tmp_path: Path, make_result) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot be written: Not a directory"):
        write_results(tmp_path / "file" / "run", make_result())


def test_killed_while_writing_the_file_is_whole(tmp_path: Path, make_result) -> None:
    source = tmp_path / "source.json"
    source.write_text(json.dumps(make_result()))
    writer = (
        "import json, sys; from lightning_stdim.runs.results import write_results\n"
        "result = json.load(open(sys.argv[1]))\n"
        "while True: write_results(sys.argv[2], result)"
    )
    run = tmp_path / "run"
    process = subprocess.Popen([sys.executable, "-c", writer, str(source), str(run)])
    while not (run / "results.json").exists():
        assert process.poll() is None
        time.sleep(0.01)
    time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert read_results(run) == make_result()
