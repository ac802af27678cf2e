"""The backbone against the protocol's description, built independently."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from lightning_stdim.encoders import NatureEncoder, build_encoder
from lightning_stdim.errors import ConfigurationError, EncoderError


@pytest.fixture(scope="module")
def frames():
    return torch.randint(
        0, 256, (3, 1, 210, 160), generator=torch.Generator().manual_seed(0)
    ).byte()


def test_shapes_and_parameters(frames):
    encoder = NatureEncoder()
    local, vector = encoder.feature_maps(frames)
    assert local.shape == (3, 128, 11, 8)
    assert vector.shape == (3, 256)
    assert torch.equal(encoder(frames), vector)
    assert torch.equal(encoder.local_map(frames), local)
    expected = (64 + 1) * 32 + (32 * 16 + 1) * 64 + (64 * 16 + 1) * 128 + (128 * 9 + 1) * 64
    assert sum(p.numel() for p in encoder.parameters()) == expected + (3456 + 1) * 256


def test_equal_to_functional_layers(frames):
    """The protocol's layers written out, on contiguous memory."""
    encoder = NatureEncoder(feature_dim=5)
    weights = [
        p.detach().clone(memory_format=torch.contiguous_format) for p in encoder.parameters()
    ]
    x = frames.float() / 255
    for k, stride in enumerate((4, 2, 2, 1)):
        x = F.relu(F.conv2d(x, weights[2 * k], weights[2 * k + 1], stride=stride))
    # The flattening is channel, row, column: 64 x 9 x 6.
    expected = x.reshape(3, -1) @ weights[8].T + weights[9]
    torch.testing.assert_close(encoder(frames), expected, rtol=1e-4, atol=1e-5)


def test_initialisation_is_orthogonal_with_gain_sqrt_2():
    for layer in NatureEncoder().modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            matrix = layer.weight.detach().flatten(1)
            rows = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
            torch.testing.assert_close(
                rows @ rows.T, 2 * torch.eye(len(rows)), rtol=1e-4, atol=1e-4
            )
            assert not layer.bias.any()


def test_a_local_position_sees_44_by_44_pixels(frames):
    encoder = NatureEncoder().double()
    pixels = torch.rand(1, 1, 210, 160, dtype=torch.float64, requires_grad=True)
    encoder.local_layers(pixels)[0, :, 4, 3].sum().backward()
    rows, columns = pixels.grad[0, 0].nonzero(as_tuple=True)
    assert rows.max() - rows.min() <= 43
    assert columns.max() - columns.min() <= 43
    assert rows.min() >= 4 * 16
    assert columns.min() >= 3 * 16


@pytest.mark.parametrize(
    "wrong",
    [torch.zeros(2, 1, 210, 160), torch.zeros(2, 1, 84, 84).byte(), torch.zeros(210, 160).byte()],
)
def test_wrong_frames_are_named(wrong):
    with pytest.raises(EncoderError, match=r"uint8 frames \[B, 1, 210, 160\]"):
        NatureEncoder()(wrong)


def test_build_encoder_from_path():
    encoder = build_encoder("lightning_stdim.encoders:NatureEncoder", {"feature_dim": 7})
    assert encoder.feature_dim == 7
    with pytest.raises(ConfigurationError, match="cannot be imported"):
        build_encoder("no.such.module:Encoder")
    with pytest.raises(ConfigurationError, match="does not take"):
        build_encoder("lightning_stdim.encoders.NatureEncoder", {"depth": 3})
    with pytest.raises(EncoderError, match="not a subclass"):
        build_encoder("os.system", {"command": "true"})
