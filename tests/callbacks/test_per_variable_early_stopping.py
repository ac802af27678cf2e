from pathlib import Path

import pytest
import torch
from pytorch_lightning import LightningModule
from pytorch_lightning.demos.boring_classes import BoringModel

from lightning_stdim.callbacks import PerVariableEarlyStopping
from lightning_stdim.errors import ConfigurationError
from tests.callbacks.scripted import Scripted, fit, interrupted_fit
from tests.trainers import quiet

SCORES = {
    "rises": [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8],
    "falls": [0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2],
    "peaks": [0.1, 0.2, 0.2, 0.3, 0.3, 0.3, 0.9, 0.9],  # equal is not better
}


def weights(module: Scripted) -> list[float]:
    return [layer.weight.item() for layer in module.layers]


def test_each_unit_stops_on_its_own_and_gets_its_best_weights() -> None:
    module, callback = Scripted(SCORES), PerVariableEarlyStopping(patience=2)
    trainer = fit(module, callback, 8)
    assert callback.best_epoch == {"rises": 7, "falls": 0, "peaks": 3}
    assert callback.stopped_epoch == {"falls": 2, "peaks": 5}
    assert weights(module) == [8, 1, 4]
    assert [layer.running_mean.item() for layer in module.layers] == [8, 1, 4]
    assert all(parameter.requires_grad for parameter in module.parameters())
    assert trainer.current_epoch == 8


def test_last_weights_are_the_reference_s_way() -> None:
    module = Scripted(SCORES)
    fit(module, PerVariableEarlyStopping(patience=2, restore="last"), 8)
    assert weights(module) == [8, 3, 6]  # nothing moves after stopping


def test_training_ends_when_every_unit_has_stopped() -> None:
    module = Scripted({"a": SCORES["falls"], "b": SCORES["peaks"], "c": [float("nan")] * 8})
    trainer = fit(module, PerVariableEarlyStopping(patience=2), 8)
    assert trainer.current_epoch == 6
    assert weights(module) == [1, 4, 1]


@pytest.mark.parametrize("cut", [1, 3, 4, 6])
@pytest.mark.parametrize("restore", ["best", "last"])
def test_resuming_gives_what_an_uninterrupted_run_gives(
    tmp_path: Path, cut: int, restore: str
) -> None:
    def make() -> PerVariableEarlyStopping:
        return PerVariableEarlyStopping(patience=2, restore=restore)  # type: ignore[arg-type]

    whole, callback = Scripted(SCORES), make()
    fit(whole, callback, 8)
    resumed, again, _ = interrupted_fit(make, SCORES, tmp_path, cut, 8)
    assert weights(resumed) == weights(whole)
    assert again.best_epoch == callback.best_epoch  # type: ignore[attr-defined]
    assert again.stopped_epoch == callback.stopped_epoch  # type: ignore[attr-defined]


def test_validation_outside_of_training_changes_nothing() -> None:
    module, callback = Scripted(SCORES), PerVariableEarlyStopping(patience=1)
    trainer = quiet(callbacks=[callback])
    trainer.validate(module, verbose=False)
    assert callback.best_score == {}


def test_wrong_use() -> None:
    with pytest.raises(ConfigurationError, match="patience=0"):
        PerVariableEarlyStopping(patience=0)
    module: LightningModule = BoringModel()
    with pytest.raises(ConfigurationError, match="BoringModel has no `units`"):
        fit(module, PerVariableEarlyStopping(), 1)  # type: ignore[arg-type]


def test_state_is_plain() -> None:
    module, callback = Scripted(SCORES), PerVariableEarlyStopping(patience=2)
    fit(module, callback, 4)
    for tensors in callback.state_dict()["best_weights"].values():
        assert all(type(value) is torch.Tensor for value in tensors.values())
