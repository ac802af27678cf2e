"""Prediction of the next frame against its formula written out."""

import cv2
import pytest
import torch
import torch.nn.functional as F

from lightning_stdim.datamodules.batches import SequenceBatch
from lightning_stdim.errors import ConfigurationError, EncoderError
from lightning_stdim.methods import PixelPrediction
from tests.learning import learn

SMALL = {"feature_dim": 3, "resize": [76, 81]}


def batch_of(size, length=2, channels=1):
    shape = (length, size, channels, 210, 160)
    frames = torch.randint(0, 256, shape, generator=torch.Generator().manual_seed(0)).byte()
    return SequenceBatch(frames, torch.arange(size))


@pytest.mark.parametrize(("reference_head", "units"), [(False, 2048), (True, 3)])
@pytest.mark.parametrize(("size", "channels"), [(1, 1), (3, 2)])
def test_equal_to_a_slow_version_in_value_and_gradient(size, channels, reference_head, units):
    torch.manual_seed(size)
    method = PixelPrediction(
        encoder_args={**SMALL, "in_channels": channels}, reference_head=reference_head
    ).double()
    batch = batch_of(size, channels=channels)
    parameters = list(method.parameters())
    head, decoder = method.predict[0], method.predict[-1]
    assert head.weight.shape == (units, 3)
    error = 0.0
    for past, present in zip(*batch.frames, strict=True):
        hidden = head(method.encoder(past[None]))
        predicted = decoder(hidden if reference_head else F.relu(hidden))
        assert predicted.shape == (1, 1, 76, 81)
        grey = present[-1].double().numpy() / 255
        newest = torch.from_numpy(cv2.resize(grey, (81, 76), interpolation=cv2.INTER_AREA))
        for row in range(76):
            error = error + (predicted[0, 0] - newest)[row].pow(2).sum() / (size * 76 * 81)
    loss = method.loss(batch)["loss"]
    torch.testing.assert_close(loss, error)
    for ours, theirs in zip(
        torch.autograd.grad(loss, parameters), torch.autograd.grad(error, parameters), strict=True
    ):
        torch.testing.assert_close(ours, theirs)


def test_of_colour_frames_the_newest_is_predicted_in_colour():
    method = PixelPrediction(encoder_args={**SMALL, "in_channels": 6}, pixels="rgb")
    batch = batch_of(2, channels=6)
    newest, predicted = method.reconstruct(batch)
    assert predicted.shape == (2, 3, 76, 81)
    torch.testing.assert_close(newest, method.encoder.scaled(batch.frames[1])[:, 3:])


def test_wrong_input_is_named():
    with pytest.raises(ConfigurationError, match=r"takes sequences of 2 frames, not of 3"):
        PixelPrediction(encoder_args=SMALL).loss(batch_of(2, length=3))
    with pytest.raises(EncoderError, match="ImpalaEncoder cannot be mirrored"):
        PixelPrediction(encoder="lightning_stdim.encoders.ImpalaEncoder")


def test_beats_the_random_encoder():
    torch.manual_seed(0)
    method = PixelPrediction(lr=2e-3, encoder_args={"resize": [105, 80]})
    before, after = learn(method, steps=80, batch_size=16)
    assert after > before + 0.1
