"""Compiled losses against the same ones as they are."""

import pytest
import torch
from lightning import LightningDataModule, LightningModule, Trainer
from torch._dynamo import register_backend
from torch.utils.data import DataLoader

from lightning_stdim.callbacks import CompileLoss
from lightning_stdim.datamodules.batches import SequenceBatch
from lightning_stdim.errors import ConfigurationError
from lightning_stdim.methods import BYOL, CPC, STDIM, VAE

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


def fit(make, *callbacks):
    torch.manual_seed(0)
    model = make()
    trainer = Trainer(
        accelerator="cpu",
        max_epochs=1,
        callbacks=list(callbacks),
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
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


def test_wrong_arguments():
    with pytest.raises(ConfigurationError, match=r"no backend 'inductr'.*inductor"):
        CompileLoss(backend="inductr")
    with pytest.raises(ConfigurationError, match="mode='reduce-overhead' is Inductor's"):
        CompileLoss(backend="cudagraphs", mode="reduce-overhead")


def test_a_module_without_a_loss():
    with pytest.raises(ConfigurationError, match=r"LightningModule has none"):
        CompileLoss().setup(Trainer(logger=False), LightningModule(), "fit")
