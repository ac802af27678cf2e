import sys
from types import ModuleType

import pytest
import torch

from lightning_stdim import AtariDataModule
from lightning_stdim.methods import STDIM
from lightning_stdim.probes import Supervised
from lightning_stdim.utils import lightning_package
from lightning_stdim.utils.lightning_package import SISTER, translate
from tests.trainers import quiet


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("lightning.pytorch.callbacks.Timer", "pytorch_lightning.callbacks.Timer"),
        ("--x.y=lightning.pytorch.loggers.X", "--x.y=pytorch_lightning.loggers.X"),
        ('{"class_path": "lightning.fabric.X"}', '{"class_path": "lightning_fabric.X"}'),
        ("pytorch_lightning.callbacks.Timer", "pytorch_lightning.callbacks.Timer"),
        ("my.lightning.pytorch.Timer", "my.lightning.pytorch.Timer"),
        ("runs/lightning.pytorch.x", "runs/lightning.pytorch.x"),
        ("lightning.pytorch==2.6.6", "lightning.pytorch==2.6.6"),
    ],
)
def test_paths_of_the_sister_package_are_written_as_ours(theirs, ours):
    assert translate(theirs) == ours
    assert translate({"a": [theirs, 3, None]}) == {"a": [ours, 3, None]}


@pytest.fixture
def sister(monkeypatch):
    """A stand-in for the sister package, with a trainer that takes no modules but its own."""

    class Trainer:
        def fit(self, model, datamodule=None):
            raise TypeError(f"`model` must be a `LightningModule`, got `{type(model).__name__}`")

        validate = test = predict = fit

    package = ModuleType(SISTER)
    package.Trainer = Trainer
    monkeypatch.setitem(sys.modules, SISTER, package)
    lightning_package._advise.cache_clear()
    yield package
    lightning_package._advise.cache_clear()


@pytest.mark.usefixtures("sister")
@pytest.mark.parametrize("make", [STDIM, Supervised, AtariDataModule])
def test_the_sister_package_is_warned_of_once(make, recwarn):
    for _ in range(2):
        make()
    (message,) = [str(w.message) for w in recwarn if SISTER in str(w.message)]
    assert "`from pytorch_lightning import Trainer`" in message
    assert "\n" not in message


@pytest.mark.filterwarnings("ignore:.*is imported, but")
@pytest.mark.parametrize("command", ["fit", "validate", "test", "predict"])
def test_the_error_of_a_trainer_of_the_sister_package_has_the_advice(sister, command):
    model = STDIM()
    run = getattr(sister.Trainer(), command)
    for arguments in ([model], [object(), AtariDataModule()]):
        with pytest.raises(TypeError, match="must be a `LightningModule`") as caught:
            run(*arguments)
        assert "from pytorch_lightning import Trainer" in caught.value.__notes__[0]
    with pytest.raises(TypeError, match="must be a `LightningModule`") as caught:
        run(object())  # no business of ours
    assert not hasattr(caught.value, "__notes__")


def test_a_trainer_of_the_real_sister_package_comes_after_the_advice():
    theirs = pytest.importorskip(SISTER)
    lightning_package._advise.cache_clear()
    with pytest.warns(UserWarning, match="from pytorch_lightning import Trainer"):
        model = STDIM()
    with pytest.raises(TypeError, match="LightningModule") as caught:
        theirs.Trainer(accelerator="cpu", logger=False, enable_checkpointing=False).fit(model)
    assert "from pytorch_lightning import Trainer" in caught.value.__notes__[0]


def test_checkpoints_of_the_sister_package_load(tmp_path, monkeypatch):
    """Its command line stores the function that makes the object, by the package's name."""
    monkeypatch.setitem(sys.modules, "lightning.pytorch.cli", None)  # as if it were not installed
    model, data = STDIM(lr=0.5), AtariDataModule("breakout")
    trainer = quiet()
    trainer.strategy.connect(model)
    path = tmp_path / "old.ckpt"
    trainer.save_checkpoint(path)
    contents = torch.load(path, weights_only=True)
    old = {"_instantiator": "lightning.pytorch.cli.instantiate_module"}
    contents["hyper_parameters"] |= old
    contents["datamodule_hyper_parameters"] = dict(data.hparams) | old
    torch.save(contents, path)
    loaded = STDIM.load_from_checkpoint(path)
    assert loaded.lr == 0.5
    for name, value in model.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], value)
    assert AtariDataModule.load_from_checkpoint(str(path)).game == "breakout"
    with pytest.raises(TypeError, match="cannot be called on an instance"):
        loaded.load_from_checkpoint(path)
