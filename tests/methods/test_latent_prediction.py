"""Latent prediction against one sequence and one step at a time."""

import pytest
import torch

from lightning_stdim.datamodules.batches import SequenceBatch
from lightning_stdim.errors import ConfigurationError
from lightning_stdim.methods import LatentPrediction
from tests.learning import learn
from tests.methods.test_byol import slow_distance


def test_every_step_predicts_the_target_s_view_of_the_frame_that_came():
    torch.manual_seed(0)
    method = LatentPrediction(steps=3, hidden_dim=7, projection_dim=4).double()
    for parameter in method.target.parameters():  # as after some training
        parameter.add_(0.01 * torch.randn_like(parameter))
    frames = torch.randint(0, 256, (4, 2, 1, 210, 160)).byte()
    with torch.no_grad():
        latents = [method(frames[0])]
        for _ in range(3):
            latents.append(latents[-1] + method.transition(latents[-1]))
        # Normalised over both sequences and all three steps.
        predicted = method.predictor(method.projector(torch.cat(latents[1:])))
        targets = method.target(frames[1:].flatten(0, 1))
        distances = [slow_distance(*pair) for pair in zip(predicted, targets, strict=True)]
        found = method.loss(SequenceBatch(frames, torch.arange(2)))["loss"]
    torch.testing.assert_close(found, torch.stack(distances).mean())


def test_the_target_has_no_gradient_and_everything_else_has_one():
    torch.manual_seed(0)
    method = LatentPrediction(steps=2)
    frames = torch.randint(0, 256, (3, 4, 1, 210, 160)).byte()
    method.loss(SequenceBatch(frames, torch.arange(4)))["loss"].backward()
    for name, parameter in method.named_parameters():
        if name.startswith("target."):
            assert parameter.grad is None, name
        else:
            assert parameter.grad.abs().sum() > 0, name


def test_five_steps_ahead_take_six_frames():
    assert LatentPrediction().sequence_length == 6
    batch = SequenceBatch(torch.zeros(2, 3, 1, 210, 160).byte(), torch.arange(3))
    with pytest.raises(ConfigurationError, match="takes sequences of 4 frames, not of 2"):
        LatentPrediction(steps=3).loss(batch)


def test_no_step_is_refused():
    with pytest.raises(ConfigurationError, match="steps=0"):
        LatentPrediction(steps=0)


def test_latent_prediction_beats_the_random_encoder():
    torch.manual_seed(0)
    before, after = learn(LatentPrediction(lr=2e-3), steps=20)
    assert after > before + 0.15
