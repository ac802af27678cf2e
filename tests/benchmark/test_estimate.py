"""What the estimate multiplies; what it times is the machine's business."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from lightning_stdim.benchmark import estimate as module
from lightning_stdim.benchmark.cells import RunSpec
from lightning_stdim.benchmark.estimate import CostEstimate, estimate
from lightning_stdim.benchmark.grid import Sweep, grid


@pytest.fixture
def preset(tmp_path: Path) -> str:
    path = tmp_path / "tiny.yaml"
    settings = {
        "model": "lightning_stdim.methods.STDIM",
        "data": {"game": "pong", "steps": 3200, "probe_steps": 12000},
        "trainer": {"max_epochs": 4},
        "paper": {"max_epochs": 3},
        "converged": {"strengths": [0.01]},
    }
    path.write_text(yaml.safe_dump(settings))
    return str(path)


@pytest.fixture
def of(monkeypatch, tmp_path: Path, preset: str):
    """Estimates with measured times replaced: a step 1 s, one without gradients 0.1 s.

    Probing takes 2 s, and for each of Pong's six variables 3 s, or half of that with one protocol.
    """

    def _probing(encoder, data, settings, chosen):
        return 2.0, 3.0 / (1 + ("protocols" in chosen))

    monkeypatch.setattr(module, "_times", lambda method, precision: (1.0, 0.1))
    monkeypatch.setattr(module, "_start_up", lambda: 5.0)
    monkeypatch.setattr(module, "_probing", _probing)
    play = module._Play(seconds=0.01, bytes=100.0)
    monkeypatch.setattr(module, "_calibration_data", lambda game, root: (play, None))

    def make(cells: list[RunSpec], **options) -> CostEstimate:
        options = {"root": tmp_path / "data", "out": tmp_path / "out", **options}
        return estimate(cells, preset=preset, **options)

    return make


def test_what_a_cell_costs(of) -> None:
    found = of(grid(["pong"], ["majority", "random-cnn", "st-dim", "cpc", "supervised"], [0]))
    seconds = {kind.name: kind.seconds for kind in found.kinds}
    # 3200 frames: 2560 train, 40 batches of 64; 640 validate, 10 batches.
    assert seconds["majority"] == 5
    assert seconds["random-cnn"] == 25
    assert seconds["st-dim"] == pytest.approx(25 + 4 * (40 * 1.0 + 10 * 0.1))
    # 100 frames, one sequence in 50 frames, 8 at a time: 6.4 batches, and 1.6.
    assert seconds["cpc"] == pytest.approx(25 + 4 * (7 * 1.0 + 2 * 0.1))
    assert seconds["supervised"] == pytest.approx(25 + 4 * (150 * 1.0 + 38 * 0.1))


def test_sums(of) -> None:
    once = of(grid(["pong"], ["majority", "st-dim"], [0]))
    twice = of(grid(["pong", "videopinball"], ["majority", "st-dim"], [0]), jobs=2)
    assert once.collections == 2  # to pretrain on, and to probe
    assert once.collecting == pytest.approx(15200 * 0.01)
    assert once.seconds == pytest.approx(once.collecting + sum(k.seconds for k in once.kinds))
    assert twice.seconds == pytest.approx(2 * once.seconds)
    assert twice.disk == pytest.approx(2 * once.disk)
    assert twice.memory == pytest.approx(2 * once.memory, rel=0.01)
    assert once.memory > 15200 * 210 * 160
    # Two checkpoints of 0.9 million weights with Adam's moments, and the encoder once more.
    weights = 1_150_000 * 4
    assert once.disk == pytest.approx(15200 * 100 + 7 * weights, rel=0.15)


def test_games_with_more_variables_take_longer_to_probe(of) -> None:
    (kind,) = of(grid(["pong", "asteroids"], ["random-cnn"], [0])).kinds
    assert kind.seconds == 5 + 2 + 30 * 3
    assert kind.total == kind.seconds + 25


def test_what_is_there_costs_nothing(of, tmp_path: Path, make_result) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "pong-random-seed0-3200.h5").touch()
    cells = grid(["pong"], ["random-cnn", "st-dim"], [0, 1])
    found = of(cells)
    assert found.collections == 3
    done = cells[0].folder(tmp_path / "out")
    done.mkdir(parents=True)
    (done / "results.json").write_text(json.dumps(make_result("random-cnn")))
    assert {kind.name: kind.cells for kind in of(cells).kinds} == {"random-cnn": 1, "st-dim": 2}


def test_modes_have_collections_of_their_own(of, tmp_path: Path) -> None:
    cells = grid(["breakout"], ["st-dim"], [0], sweep=Sweep(modes=("default", "12")))
    assert of(cells).collections == 4
    (tmp_path / "data").mkdir()
    for file in ("seed0-3200", "seed0-3200-mode12", "seed1000000-12000-mode8"):
        (tmp_path / "data" / f"breakout-random-{file}.h5").touch()
    assert of(cells).collections == 2


def test_probes_of_other_cells_train_nothing(of) -> None:
    cells = grid(["pong"], ["st-dim"], [0], sweep=Sweep(probes=("linear", "mlp")))
    trained, probed = of(cells).kinds
    assert probed.name == "st-dim probe.hidden=256"
    assert probed.seconds == 5 + 2 + 6 * 1.5 < trained.seconds


def test_it_measures(preset: str, tmp_path: Path, capsys) -> None:
    cells = grid(["pong"], ["majority", "st-dim"], [0])
    found = estimate(cells, preset=preset, root=tmp_path / "data", out=tmp_path / "out")
    found.print()
    majority, trained = found.kinds
    assert 0 < majority.seconds < trained.seconds < found.seconds
    assert "GB of memory" in capsys.readouterr().out
