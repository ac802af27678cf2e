"""Compiled losses against the same ones as they are."""

import pytest
import torch
from pytorch_lightning import Callback, LightningDataModule, Trainer
from torch._dynamo import register_backend
from torch.utils.data import DataLoader

from lightning_stdim.callbacks import CompileLoss
from lightning_stdim.datamodules.batches import SequenceBatch
from lightning_stdim.errors import ConfigurationError
from lightning_stdim.methods import BYOL, CPC, STDIM, VAE
from lightning_stdim.probes import Supervised
from tests.trainers import quiet

METHODS = {
    "two terms": lambda: STDIM(),
    "random numbers and a decoder": lambda: VAE(),
    "a recurrent network": lambda: CPC(sequence_length=6),
    "a target network": lambda: BYOL(),
}


CAPTURED = []


@register_backend
def captured(graph, inputs):
    """Run a graph as it is."""
    CAPTURED.append(graph)
    return graph.forward


class Frames(LightningDataModule):
    """Random frames, in batches of two sizes."""

    def __init__(self, length):
        super().__init__()
        self.length = length

    def train_dataloader(self):
        generator = torch.Generator().manual_seed(1)
        batches = [
            SequenceBatch(
                torch.randint(
                    256, (self.length, size, 1, 210, 160), generator=generator, dtype=torch.uint8
                ),
                torch.arange(size),
            )
            for size in (4, 4, 3)
        ]
        return DataLoader(batches, batch_size=None, shuffle=False)

    val_dataloader = train_dataloader


def fit(make, *callbacks, precision="32-true"):
    torch.manual_seed(0)
    model = make()
    trainer = quiet(
        precision=precision, max_epochs=1, callbacks=list(callbacks), num_sanity_val_steps=0
    )
    trainer.fit(model, datamodule=Frames(model.sequence_length))
    return model, trainer.callback_metrics


@pytest.mark.parametrize("name", METHODS)
def test_training_is_the_same(name):
    torch.compiler.reset()
    CAPTURED.clear()
    plain, expected = fit(METHODS[name])
    compiled, found = fit(METHODS[name], CompileLoss(backend="captured"))
    assert CAPTURED  # it was not the method's own loss
    for key, value in plain.state_dict().items():
        torch.testing.assert_close(compiled.state_dict()[key], value, msg=key)
    for key in ("train/loss", "val/loss"):
        torch.testing.assert_close(found[key], expected[key])
    assert "loss" not in vars(compiled)


def test_bfloat16_in_one_graph_for_each_kind_of_batch():
    """Training and validation, batches of two sizes: no break, and no more graphs than that."""
    torch.compiler.reset()
    torch._dynamo.utils.counters.clear()
    _, expected = fit(STDIM, precision="bf16-mixed")
    _, found = fit(STDIM, CompileLoss(backend="aot_eager"), precision="bf16-mixed")
    assert not torch._dynamo.utils.counters["graph_break"]
    assert 2 <= torch._dynamo.utils.counters["stats"]["unique_graphs"] <= 4
    for key in ("train/loss", "val/loss"):  # the latter after three steps of Adam
        torch.testing.assert_close(found[key], expected[key], rtol=1e-3, atol=0)


def test_twice_and_after_an_error():
    """A resumed run has its configuration's, and its command's if that has other settings."""

    class Stop(Callback):
        def on_train_batch_end(self, *_):
            raise RuntimeError("stop")

    model, _ = fit(STDIM, CompileLoss(backend="captured"), CompileLoss(backend="captured"))
    assert "loss" not in vars(model)
    seen = []
    with pytest.raises(RuntimeError, match="stop"):
        fit(lambda: seen.append(STDIM()) or seen[0], CompileLoss(backend="captured"), Stop())
    assert "loss" not in vars(seen[0])


def test_what_has_no_loss_stays_as_it_is():
    model = Supervised()
    with pytest.warns(UserWarning, match="Supervised has no loss to compile"):
        CompileLoss().setup(Trainer(logger=False), model, "fit")
    assert "loss" not in vars(model)


def test_wrong_arguments():
    with pytest.raises(ConfigurationError, match=r"no backend 'inductr'.*inductor"):
        CompileLoss(backend="inductr")
    with pytest.raises(ConfigurationError, match="for the backend 'inductor'"):
        CompileLoss(backend="cudagraphs", mode="reduce-overhead")
    trainer = Trainer(accumulate_grad_batches=2, logger=False)
    CompileLoss().setup(trainer, STDIM(), "fit")
    for graphs in (CompileLoss(mode="reduce-overhead"), CompileLoss(backend="cudagraphs")):
        with pytest.raises(ConfigurationError, match="accumulate_grad_batches=2"):
            graphs.setup(trainer, STDIM(), "fit")
