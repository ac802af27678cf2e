"""The command ``benchmark``, from its options to the report."""

from __future__ import annotations

from pathlib import Path

import yaml

from lightning_stdim.cli import main
from lightning_stdim.runs.results import read_results


def test_options_may_stand_in_a_file(small, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    data = {"game": "breakout", "steps": small["steps"], "probe_steps": small["probe_steps"]}
    Path("tiny.yaml").write_text(yaml.safe_dump({"model": "STDIM", "data": data}))
    options = {"games": "breakout", "methods": "majority", "preset": "tiny.yaml"}
    options |= {"seeds": 1, "root": small["root"], "out": "from-file"}
    Path("mine.yaml").write_text(yaml.safe_dump(options))
    assert main(["benchmark", "--config", "mine.yaml", "--out", "mine"]) == 0
    budget = read_results("mine/breakout/majority/seed0")["budget"]
    assert budget["probe_frames"] == data["probe_steps"]
    assert Path("mine/report.html").is_file()
    assert not Path("from-file").exists()  # what follows the file has the last word
