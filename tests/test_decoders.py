"""The mirrored decoder against transposed convolutions written out."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from lightning_stdim.decoders import MirrorDecoder
from lightning_stdim.encoders import ImpalaEncoder, LocalGlobalEncoder, NatureEncoder
from lightning_stdim.errors import EncoderError


class Padded(LocalGlobalEncoder):
    """Convolutions that pad, with different strides for rows and columns."""

    def __init__(self, resize):
        super().__init__(2, 5, resize)
        self.local_channels = 3
        convolution = nn.Conv2d(2, 3, (5, 3), stride=(3, 2), padding=(2, 1))
        self.local_layers = nn.Sequential(convolution, nn.ReLU())
        channels, rows, columns = self.shape_after(convolution)
        linear = nn.Linear(channels * rows * columns, 5)
        self.global_layers = nn.Sequential(nn.Flatten(), linear)


def test_equal_to_functional_layers():
    """The layers that the protocol's encoder has, backwards, on contiguous memory."""
    decoder = MirrorDecoder(NatureEncoder(feature_dim=7))
    weights = [
        p.detach().clone(memory_format=torch.contiguous_format) for p in decoder.parameters()
    ]
    vectors = torch.randn(2, 7, generator=torch.Generator().manual_seed(0))
    x = (vectors @ weights[0].T + weights[1]).reshape(2, 64, 9, 6)
    geometry = [(3, 1, (0, 0), 128), (4, 2, (0, 0), 64), (4, 2, (1, 1), 32), (8, 4, (2, 0), 1)]
    for k, (kernel, stride, left_over, channels) in enumerate(geometry, start=1):
        weight, bias = weights[2 * k : 2 * k + 2]
        assert weight.shape[1:] == (channels, kernel, kernel)
        x = F.conv_transpose2d(F.relu(x), weight, bias, stride, output_padding=left_over)
    assert x.shape == (2, 1, 210, 160)
    decoded = decoder(vectors)
    torch.testing.assert_close(decoded, x.sigmoid(), rtol=1e-4, atol=1e-5)
    assert decoder.layers[-2](torch.rand(1, 32, 51, 39)).is_contiguous(
        memory_format=torch.channels_last
    )


@settings(deadline=None, max_examples=15)
@given(
    st.sampled_from([NatureEncoder, Padded]),
    st.lists(st.integers(76, 100), min_size=2, max_size=2),
)
def test_gives_back_the_size_of_the_scaled_frames(kind, size):
    encoder = kind(resize=size)
    frames = torch.zeros(1, encoder.in_channels, 210, 160, dtype=torch.uint8)
    decoder = MirrorDecoder(encoder)
    decoded = decoder(torch.randn(1, encoder.feature_dim))
    assert decoded.shape == encoder.scaled(frames).shape == (1, encoder.in_channels, *size)
    assert 0 <= decoded.min() <= decoded.max() <= 1


def test_other_vectors_and_other_channels():
    decoder = MirrorDecoder(NatureEncoder(in_channels=4), input_dim=3, out_channels=2)
    assert decoder(torch.zeros(5, 3)).shape == (5, 2, 210, 160)


def test_only_plain_layers_are_mirrored():
    with pytest.raises(EncoderError, match=r"ImpalaEncoder cannot be mirrored \(Sequential among"):
        MirrorDecoder(ImpalaEncoder())
    encoder = NatureEncoder()
    encoder.local_layers[0] = nn.Conv2d(1, 32, 8, stride=4, dilation=2)
    with pytest.raises(EncoderError, match=r"NatureEncoder cannot be mirrored \(Conv2d among"):
        MirrorDecoder(encoder)
    encoder.local_layers, encoder.global_layers = nn.Sequential(), nn.Sequential(nn.Flatten())
    with pytest.raises(EncoderError, match="no convolution among its layers"):
        MirrorDecoder(encoder)
