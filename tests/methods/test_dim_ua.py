"""DIM-UA's encoder and objective, written out."""

import pytest
import torch

from lightning_stdim.datamodules.batches import SequenceBatch
from lightning_stdim.encoders import NatureEncoder, UnionEncoder
from lightning_stdim.encoders.pretrained import load_encoder, save_pretrained
from lightning_stdim.errors import ConfigurationError, EncoderError
from lightning_stdim.methods import DIMUA
from tests.learning import learn


def frames(*shape):
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (*shape, 1, 210, 160), generator=generator).byte()


def charts_of(encoder, screens):
    """The charts and the membership of each frame, from the layers one by one."""
    atlas = encoder.global_layers[-1]
    features = encoder.global_layers[:-1](encoder.local_map(screens))
    assert features.shape[1] == 3456
    size = encoder.feature_dim
    weights, biases = atlas.heads.weight, atlas.heads.bias
    heads = range(atlas.membership.out_features)
    rows = [slice(k * size, (k + 1) * size) for k in heads]
    charts = torch.stack([features @ weights[r].T + biases[r] for r in rows], dim=1)
    scores = (features @ atlas.membership.weight.T + atlas.membership.bias).exp()
    return charts, scores / scores.sum(1, keepdim=True)


def test_the_likeliest_chart_is_what_is_probed(tmp_path):
    torch.manual_seed(0)
    encoder = UnionEncoder(feature_dim=5, charts=3)
    encoder.global_layers[-1].membership.weight.data.normal_(std=30)
    screens = frames(6)
    charts, membership = charts_of(encoder, screens)
    chosen = membership.argmax(1)
    assert len(set(chosen.tolist())) > 1
    expected = torch.stack([charts[i, chosen[i]] for i in range(6)])
    torch.testing.assert_close(encoder(screens), expected, rtol=1e-4, atol=1e-5)
    args = {"feature_dim": 5, "charts": 3}
    save_pretrained(encoder, tmp_path, path="lightning_stdim.encoders.UnionEncoder", args=args)
    torch.testing.assert_close(load_encoder(tmp_path)(screens), encoder(screens))


def test_the_trunk_is_the_paper_s_network():
    union, nature = UnionEncoder(), NatureEncoder()
    ours = {name: value.shape for name, value in union.state_dict().items()}
    theirs = {name: value.shape for name, value in nature.state_dict().items()}
    same = {name: shape for name, shape in theirs.items() if "global_layers.3" not in name}
    assert same.items() <= ours.items()


@pytest.mark.parametrize("training", [True, False])
def test_the_objective_by_hand(training):
    torch.manual_seed(0)
    method = DIMUA(weight=0.3, encoder_args={"charts": 3, "feature_dim": 4}).train(training)
    batch = SequenceBatch(frames(2, 3), torch.arange(3))
    (before, _), (now, _) = map(method.encoder.feature_maps, batch.frames)
    before, now = (local.flatten(2).transpose(1, 2) for local in (before, now))
    (_, q_past), (charts, q) = (charts_of(method.encoder, screens) for screens in batch.frames)
    if training:
        vector = sum(charts[:, k] for k in range(3)) / 3
    else:
        vector = sum(q[:, k : k + 1] * charts[:, k] for k in range(3))
    terms = method.loss(batch)
    torch.testing.assert_close(terms["global_local"], method.global_local(vector, before))
    torch.testing.assert_close(terms["local_local"], method.local_local(now, before))
    unbalance = sum(((p - 1 / 3) ** 2).sum(1).mean() for p in (q, q_past)) / 2
    torch.testing.assert_close(terms["unbalance"], unbalance)
    expected = terms["global_local"] + terms["local_local"] - 0.3 * unbalance
    torch.testing.assert_close(terms["loss"], expected)


def test_the_third_term_makes_one_chart_likely():
    torch.manual_seed(0)
    batch = SequenceBatch(frames(2, 4), torch.arange(4))
    unbalance = []
    for weight in (0.0, 50.0):
        torch.manual_seed(0)
        method = DIMUA(weight=weight, encoder_args={"feature_dim": 4, "charts": 4}, lr=1e-3)
        optimizer = method.configure_optimizers()
        for _ in range(8):
            optimizer.zero_grad()
            method.loss(batch)["loss"].backward()
            optimizer.step()
        unbalance.append(method.loss(batch)["unbalance"].item())
    assert unbalance[1] > unbalance[0] + 0.1
    assert unbalance[1] <= 0.75 + 1e-6


def test_wrong_arguments():
    with pytest.raises(ConfigurationError, match="weight=-1 must be 0 or more"):
        DIMUA(weight=-1)
    with pytest.raises(ConfigurationError, match="charts=0 must be at least 1"):
        DIMUA(encoder_args={"charts": 0})
    with pytest.raises(EncoderError, match="DIM-UA needs an encoder with charts"):
        DIMUA(encoder="lightning_stdim.encoders.NatureEncoder")


# Many charts, and few large ones: dim-ua-large's 4096 units would take two minutes.
@pytest.mark.parametrize(("charts", "feature_dim", "steps"), [(8, 256, 60), (4, 1024, 30)])
def test_dim_ua_learns(charts, feature_dim, steps):
    torch.manual_seed(0)
    args = {"resize": [105, 80], "charts": charts, "feature_dim": feature_dim}
    before, after = learn(DIMUA(lr=1e-3, encoder_args=args), steps=steps)
    assert after > before + 0.15
