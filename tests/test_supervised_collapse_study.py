"""The study of the collapse (studies/supervised_collapse.py) against independent truth."""

from __future__ import annotations

import importlib
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch
from pytorch_lightning import Callback, LightningModule, Trainer

from lightning_stdim.datamodules.batches import ProbeData
from lightning_stdim.probes import Supervised
from tests.probes.games import game
from tests.probes.test_supervised import Games
from tests.trainers import quiet


@pytest.fixture
def study(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(Path(__file__).parent.parent / "studies")
    return importlib.import_module("supervised_collapse")


def test_step_sizes_are_the_changes_of_the_encoder_s_layers(study: Any) -> None:
    data = game(n=24)
    frames = torch.randint(0, 256, (24, 210, 160), dtype=torch.uint8)
    games = Games(ProbeData(**{**vars(data), "frames": frames}))  # one batch for training
    layers = ("local_layers.0", "local_layers.2", "local_layers.4", "global_layers.0")
    encoders = []

    class Keep(Callback):
        def on_train_batch_start(
            self, trainer: Trainer, pl_module: LightningModule, *_: Any
        ) -> None:
            encoders.append(deepcopy(pl_module.encoder))

        def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
            encoders.append(deepcopy(pl_module.encoder))

    steps = study.StepSizes()
    model = Supervised(lr=1e-3)
    quiet(max_epochs=1, callbacks=[Keep(), steps], limit_val_batches=0).fit(model, datamodule=games)
    (found,) = steps.take()
    before, after = encoders
    for name, layer in zip(study.LAYERS, (*layers, "global_layers.3"), strict=True):
        changes = [
            new - old
            for old, new in zip(
                before.get_submodule(layer).parameters(),
                after.get_submodule(layer).parameters(),
                strict=True,
            )
        ]
        size = torch.cat([change.flatten() for change in changes]).norm().item()
        assert found[name]["mean"] == found[name]["largest"] == pytest.approx(size, rel=1e-4)
        assert found[name]["gradient"] > 0
    assert steps.take() == []


def epoch(*labels: int, dead: float = 0.25, f1: float = 0.5) -> dict[str, Any]:
    return {
        "labels_predicted": dict(enumerate(labels)),
        "dead_units": {f"convolution {k}": dead for k in (1, 2, 3, 4)},
        "mean_f1": f1,
    }


def test_a_training_has_collapsed_if_no_prediction_varies_any_more(study: Any) -> None:
    varied, constant, half = epoch(3, 9), epoch(1, 1), epoch(1, 4)
    assert study.collapsed_at([constant, varied, varied]) is None
    assert study.collapsed_at([constant, varied, half, constant, constant]) == 3
    assert study.collapsed_at([constant, varied, constant, half]) is None
    assert [study.is_over(e) for e in (constant, epoch(1, 1, dead=1), epoch(1, 2, dead=1))] == [
        False,
        True,
        False,
    ]


def test_a_row_of_the_table(study: Any) -> None:
    epochs = [epoch(1, f1=0.1), epoch(5, f1=0.7), epoch(1, dead=1, f1=0.2)]
    records = [{"title": "one Adam", "seed": 3, "epochs": epochs}]
    (row,) = study.table(records).splitlines()[2:]
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert cells == ["one Adam", "3", "2", "2", "0.700", "0.200", *["100%"] * 4]


def test_the_picture_has_the_report_s_runs_beside_ours(study: Any, tmp_path: Path) -> None:
    report = Path(__file__).parent.parent / "results" / "report-2019"
    assert len(study.read_report(report, "pong-sup", "val_f1")) == 60  # its epochs
    names = study.read_report(report, "pong-sup-run-2", "train_loss")[0]
    ours = {**epoch(2), "report_f1": names, "train_loss": names}
    study.draw([{"title": "a, b", "epochs": [ours] * 3}], report, tmp_path / "collapse.png")
    assert (tmp_path / "collapse.png").read_bytes().startswith(b"\x89PNG")
