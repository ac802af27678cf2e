from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pytorch_lightning import Callback, LightningModule, Trainer
from torch import nn
from torch.optim.lr_scheduler import ReduceLROnPlateau

from lightning_stdim.callbacks import PerVariableReduceLROnPlateau
from lightning_stdim.errors import ConfigurationError
from tests.callbacks.scripted import Scripted, fit, interrupted_fit

ARGUMENTS: dict[str, Any] = {"patience": 1, "factor": 0.2, "min_lr": 0.02}


class Rates(Callback):
    def __init__(self, inner: PerVariableReduceLROnPlateau) -> None:
        self.inner = inner
        self.seen: list[list[float]] = []

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.inner.on_validation_end(trainer, pl_module)
        if trainer.sanity_checking:
            return
        self.seen.append([group["lr"] for group in trainer.optimizers[0].param_groups])


def torch_rates(scores: list[float]) -> list[float]:
    optimizer = torch.optim.SGD(nn.Linear(1, 1).parameters(), lr=1.0)
    schedule = ReduceLROnPlateau(optimizer, mode="max", **ARGUMENTS)
    rates = []
    for score in scores:
        schedule.step(score)
        rates.append(optimizer.param_groups[0]["lr"])
    return rates


@settings(max_examples=8, deadline=None)
@given(
    st.lists(
        st.tuples(*[st.sampled_from([0.0, 0.3, 0.5, 0.50001, 0.51, 0.7])] * 2),
        min_size=1,
        max_size=14,
    )
)
def test_equals_one_torch_scheduler_per_unit(scores: list[tuple[float, float]]) -> None:
    columns = [list(column) for column in zip(*scores, strict=True)]
    rates = Rates(PerVariableReduceLROnPlateau(**ARGUMENTS))
    fit(Scripted({"a": columns[0], "b": columns[1]}), rates, len(scores))
    for column, seen in zip(columns, zip(*rates.seen, strict=True), strict=True):
        assert list(seen) == pytest.approx(torch_rates(column))


@pytest.mark.parametrize("cut", [2, 4, 5])
def test_resuming_gives_what_an_uninterrupted_run_gives(tmp_path: Path, cut: int) -> None:
    scores = {"a": [0.5, 0.4, 0.4, 0.4, 0.6, 0.1, 0.1, 0.1], "b": [0.5, 0.6, 0.7, 0.7] * 2}

    def make() -> PerVariableReduceLROnPlateau:
        return PerVariableReduceLROnPlateau(patience=1)

    _, callback, trainer = interrupted_fit(make, scores, tmp_path, cut, 8)
    whole = make()
    expected = fit(Scripted(scores), whole, 8)
    assert callback.state_dict() == whole.state_dict()
    rates = [[g["lr"] for g in t.optimizers[0].param_groups] for t in (trainer, expected)]
    assert rates[0] == rates[1]


@pytest.mark.parametrize("wrong", [{"patience": -1}, {"factor": 1.0}, {"min_lr": -1.0}])
def test_wrong_arguments(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        PerVariableReduceLROnPlateau(**wrong)
