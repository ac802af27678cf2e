"""The backbone against the protocol's description, built independently."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from lightning_stdim.encoders import (
    ImpalaEncoder,
    NatureEncoder,
    build_encoder,
    feature_dim_of,
    frame_stack,
    require_local_map,
    resolve_encoder,
    with_channels,
)
from lightning_stdim.encoders.layers import BlockConv2d
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


@settings(deadline=None, max_examples=25)
@given(
    channels=st.integers(1, 3),
    stride=st.sampled_from([2, 3, 4]),
    times=st.integers(1, 2),
    height=st.integers(8, 21),
    width=st.integers(8, 21),
    seed=st.integers(0, 99),
)
def test_blocks_convolve_as_pixels_do(channels, stride, times, height, width, seed):
    """Under autocast, of whole numbers small enough for bfloat16 to hold every one exactly."""
    generator = torch.Generator().manual_seed(seed)

    def whole(most, *shape):
        return torch.randint(-most, most + 1, shape, generator=generator).float()

    layer = BlockConv2d(channels, 2, stride * times, stride)
    frames = whole(1, 2, channels, height, width).requires_grad_()
    layer.weight.data = whole(1, *layer.weight.shape)
    layer.bias.data = whole(1, 2)
    expected = F.conv2d(frames, layer.weight, layer.bias, stride=stride)
    cotangent = whole(1, *expected.shape)
    wanted = torch.autograd.grad(expected, [frames, *layer.parameters()], cotangent)
    with torch.autocast("cpu", torch.bfloat16):
        found = layer(frames)
    assert found.dtype == torch.bfloat16
    assert torch.equal(found, expected.bfloat16())
    gradients = torch.autograd.grad(found, [frames, *layer.parameters()], cotangent.bfloat16())
    for mine, theirs in zip(gradients, wanted, strict=True):
        assert torch.equal(mine.bfloat16(), theirs.bfloat16())
    assert torch.equal(layer(frames), expected)  # in float32 nothing changes


def test_vectors_far_from_zero_stay_apart_under_autocast(frames):
    """bfloat16's numbers near 30 are 0.125 apart; the vectors differ by less than that."""
    torch.manual_seed(0)
    encoder = NatureEncoder()
    encoder.global_layers[-1].bias.data.fill_(30.0)
    with torch.autocast("cpu", torch.bfloat16), torch.no_grad():
        local, vectors = encoder.feature_maps(frames)
    assert local.dtype == torch.bfloat16
    assert vectors.dtype == torch.float32
    # What is left is the rounding of the convolutions' maps, not of the offset.
    torch.testing.assert_close(vectors - 30.0, encoder(frames) - 30.0, atol=0.02, rtol=0.02)


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


def residual(x, weights):
    (w1, b1), (w2, b2) = weights
    return x + F.conv2d(F.relu(F.conv2d(F.relu(x), w1, b1, padding=1)), w2, b2, padding=1)


def test_impala_is_its_layers_written_out(frames):
    encoder = ImpalaEncoder(feature_dim=7, channels=(4, 5, 6, 3))
    encoder.requires_grad_(False)
    layers = [
        (layer.weight.clone(memory_format=torch.contiguous_format), layer.bias)
        for layer in encoder.modules()
        if isinstance(layer, nn.Conv2d)
    ]
    x = frames.float() / 255
    for block in range(4):
        first, *rest = layers[5 * block : 5 * block + 5]
        x = F.max_pool2d(F.conv2d(x, *first, padding=1), 3, stride=2, padding=1)
        x = residual(residual(x, rest[:2]), rest[2:])
        if block == 2:
            torch.testing.assert_close(encoder.local_map(frames), x, rtol=1e-4, atol=1e-4)
            assert x.shape[1:] == (encoder.local_channels, 27, 20)
    linear = encoder.global_layers[-1]
    expected = F.relu(x).reshape(3, -1) @ linear.weight.T + linear.bias
    torch.testing.assert_close(encoder(frames), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("encoder", [NatureEncoder, ImpalaEncoder])
def test_stacked_and_resized_frames(frames, encoder):
    stack = torch.cat([frames, frames.flip(0)], dim=1)
    small = encoder(in_channels=2, feature_dim=5, resize=[105, 80])
    whole = encoder(in_channels=2, feature_dim=5, resize=[105, 80])
    whole.load_state_dict(small.state_dict())
    means = stack.float().unflatten(2, (105, 2)).unflatten(4, (80, 2)).mean((3, 5)) / 255
    local, vector = small.feature_maps(stack)
    assert vector.shape == (3, 5)
    torch.testing.assert_close(local, whole.local_layers(means), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"resize": [84]}, r"resize=\[84\] must be a height of at most 210 and a width"),
        ({"resize": [84, 161]}, "a width of at most 160"),
        ({"resize": [20, 20]}, "frames of 20 x 20 are too small for NatureEncoder"),
        ({"feature_dim": 0}, "feature_dim=0 must both be at least 1"),
    ],
)
def test_wrong_sizes_are_named(arguments, message):
    with pytest.raises(ConfigurationError, match=message):
        NatureEncoder(**arguments)


def test_areas_are_opencv_s(frames):
    cv2 = pytest.importorskip("cv2")
    encoder = NatureEncoder(resize=[84, 100])
    for frame in frames:
        expected = cv2.resize(frame[0].float().numpy(), (100, 84), interpolation=cv2.INTER_AREA)
        with torch.autocast("cpu", torch.bfloat16):
            resized = encoder.scaled(frame[None])[0, 0]
        torch.testing.assert_close(255 * resized, torch.from_numpy(expected), rtol=0, atol=1e-3)


class Plain(nn.Module):
    """A backbone of a user's own."""

    def __init__(self, size=3):
        super().__init__()
        self.size = size

    def forward(self, frames):
        assert not self.training
        return frames.flatten(1)[:, : self.size].float()


@pytest.mark.parametrize(
    ("in_channels", "channels", "frames"), [(None, 1, 1), (None, 3, 1), (4, 1, 4), (6, 3, 2)]
)
def test_how_many_frames_a_backbone_takes(in_channels, channels, frames):
    encoder = Plain() if in_channels is None else NatureEncoder(in_channels)
    assert frame_stack(encoder, channels) == frames


def test_the_random_encoder_takes_the_frames_that_there_are():
    assert [resolve_encoder("random", pixels=p).in_channels for p in ("luma", "rgb")] == [1, 3]


@pytest.mark.parametrize("in_channels", [1, 4])
def test_no_number_of_colour_frames_fits(in_channels):
    with pytest.raises(ConfigurationError, match=f"takes {in_channels} channels, and a colour"):
        frame_stack(NatureEncoder(in_channels), 3)


NATURE = "lightning_stdim.encoders.NatureEncoder"


@pytest.mark.parametrize(
    ("path", "args", "pixels", "expected"),
    [
        (NATURE, {"resize": [84, 84]}, "luma", {"resize": [84, 84]}),
        (NATURE, None, "rgb", {"in_channels": 3}),
        (NATURE, {"in_channels": 6}, "rgb", {"in_channels": 6}),
        (f"{__name__}.Plain", {"size": 2}, "rgb", {"size": 2}),  # has no such argument
    ],
)
def test_in_colour_an_encoder_has_three_channels(path, args, pixels, expected):
    assert with_channels(path, args, pixels) == expected


def test_the_size_of_any_backbone_s_vector():
    assert feature_dim_of(NatureEncoder(feature_dim=9)) == 9
    plain = Plain().train()
    assert feature_dim_of(plain) == 3
    assert feature_dim_of(Plain(3 * 210 * 160), channels=3) == 3 * 210 * 160
    assert plain.training
    with pytest.raises(EncoderError, match="Linear failed on uint8 frames"):
        feature_dim_of(nn.Linear(2, 2))
    with pytest.raises(EncoderError, match=r"Some method needs an encoder with a local map.*Plain"):
        require_local_map(plain, "Some method")


def test_encoder_takes_frames_undivided() -> None:
    frames = torch.randint(0, 256, (2, 1, 210, 160), dtype=torch.uint8)
    encoder = NatureEncoder(scale_frames=False)
    divided = NatureEncoder()
    divided.load_state_dict(encoder.state_dict())

    assert torch.equal(encoder.scaled(frames), frames.float())
    assert torch.allclose(divided.scaled(frames), frames / 255)
    # Without biases the network is positively homogeneous.
    assert torch.allclose(encoder(frames), 255 * divided(frames), rtol=1e-3, atol=1e-3)


def test_pytorch_initialization_is_that_of_its_layers() -> None:
    torch.manual_seed(3)
    encoder = NatureEncoder(initialization="pytorch")
    layers = [m for m in encoder.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    for layer in layers:
        bound = layer.weight[0].numel() ** -0.5
        assert layer.bias is not None
        assert layer.bias.abs().max() <= bound
        assert 0.9 * bound < layer.weight.abs().max() <= bound
    torch.manual_seed(3)
    first = nn.Conv2d(1, 32, 8, stride=4)
    assert torch.equal(layers[0].weight, first.weight)

    with pytest.raises(ConfigurationError, match="initialization='uniform': choose 'orthogonal'"):
        NatureEncoder(initialization="uniform")  # type: ignore[arg-type]
