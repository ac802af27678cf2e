"""Adam with what a trainer does to gradients."""

import pytest
import torch
from pytorch_lightning import Callback, seed_everything

from lightning_stdim.probes import Supervised
from tests.methods.test_base import Constant, of_pixels
from tests.probes.test_supervised import ENCODER, Games
from tests.trainers import quiet

CLIP = 1e-3


class Norms(Callback):
    """The norms of the gradients with which the optimiser steps."""

    def __init__(self):
        self.seen = []

    def on_before_zero_grad(self, trainer, module, optimizer):
        gradients = [p.grad for p in module.parameters() if p.grad is not None]
        if gradients:
            self.seen.append(float(torch.stack([g.norm() for g in gradients]).norm()))


class Steep(Constant):
    def loss(self, batch):
        return {"loss": 100 * self.encoder.weight.sum()}


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed", "16-mixed"])
@pytest.mark.parametrize("kind", ["method", "supervised", "encoders of their own"])
def test_gradients_are_clipped_in_every_precision(kind, precision):
    seed_everything(0)
    norms = Norms()
    trainer = quiet(
        max_epochs=2,
        precision=precision,
        gradient_clip_val=CLIP,
        callbacks=[norms],
        num_sanity_val_steps=0,
    )
    if kind == "method":
        model = Steep(2)
        before = model.encoder.weight.clone()
        trainer.fit(model, of_pixels((1, 2), (3, 2)))
        assert not torch.equal(before, model.encoder.weight)
    else:
        model = Supervised(encoder=ENCODER, per_variable_encoder=kind != "supervised")
        trainer.fit(model, datamodule=Games())
    assert trainer.global_step > 0
    assert norms.seen
    assert max(norms.seen) <= CLIP * 1.001


@pytest.mark.parametrize("clipped", [False, True])
def test_adam_is_fused_wherever_it_may_be(clipped):
    trainer = quiet(
        max_steps=1, precision="bf16-mixed", gradient_clip_val=CLIP if clipped else None
    )
    trainer.fit(Steep(0), of_pixels((1, 2)))
    assert trainer.optimizers[0].defaults["fused"] is not clipped
