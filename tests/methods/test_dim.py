"""The relatives of ST-DIM: their objectives in slow loops, and what they can learn."""

import math

import pytest
import torch
import torch.nn.functional as F

from lightning_stdim.datamodules.batches import SequenceBatch
from lightning_stdim.errors import ConfigurationError, EncoderError
from lightning_stdim.methods import JSDSTDIM, STDIM, GlobalTDIM, StaticDIM
from lightning_stdim.objectives import BilinearJSD, GlobalGlobalInfoNCE
from tests.learning import learn


def frames(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (*shape, 1, 210, 160), generator=generator).byte()


def assert_same_gradients(fast, slow, parameters):
    torch.testing.assert_close(fast, slow)
    for ours, theirs in zip(
        torch.autograd.grad(fast, parameters), torch.autograd.grad(slow, parameters), strict=True
    ):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("batch", [2, 5])
def test_global_global_equals_a_loop(batch):
    torch.manual_seed(batch)
    loss = GlobalGlobalInfoNCE(3).double()
    present, past = torch.randn(2, batch, 3, dtype=torch.float64, requires_grad=True)
    slow = torch.zeros((), dtype=torch.float64)
    for i in range(batch):
        scores = torch.stack([loss.predict(present[i]) @ past[j] for j in range(batch)])
        slow = slow + (scores.exp().sum().log() - scores[i]) / batch
    assert_same_gradients(loss(present, past), slow, list(loss.parameters())[:1])
    same = torch.ones(batch, 3, dtype=torch.float64)
    assert loss(same, same).item() == pytest.approx(math.log(batch))


@pytest.mark.parametrize(("batch", "places", "shared"), [(1, 1, True), (2, 3, False), (3, 2, True)])
def test_jensen_shannon_equals_a_loop(batch, places, shared):
    torch.manual_seed(batch)
    loss = BilinearJSD(4, 3).double()
    torch.nn.init.constant_(loss.bias, 0.3)
    anchors = torch.randn(batch, 1 if shared else places, 4, dtype=torch.float64)
    positive, negative = torch.randn(2, batch, places, 3, dtype=torch.float64)
    slow = torch.zeros((), dtype=torch.float64)
    for i in range(batch):
        for m in range(places):
            anchor = anchors[i, 0 if shared else m]
            for local, target in ((positive, 1.0), (negative, 0.0)):
                score = anchor @ loss.weigh.weight.T @ local[i, m] + loss.bias
                truth = torch.tensor(target, dtype=torch.float64)
                slow = slow + F.binary_cross_entropy_with_logits(score, truth) / (batch * places)
    fast = loss(anchors, positive, negative)
    assert_same_gradients(fast, slow, list(loss.parameters()))
    assert loss(0 * anchors, positive, negative).item() == pytest.approx(
        F.softplus(torch.tensor(-0.3)).item() + F.softplus(torch.tensor(0.3)).item()
    )


def test_methods_use_the_frames_that_they_should():
    """Each method's loss from the encoder's maps, by hand."""
    torch.manual_seed(0)
    batch = SequenceBatch(frames(2, 3), torch.arange(3), frames(3, seed=1))
    past, present = batch.frames
    method = GlobalTDIM()
    expected = method.global_global(method(present), method(past))
    torch.testing.assert_close(method.loss(batch)["loss"], expected)

    static = StaticDIM()
    local, vector = static.encoder.feature_maps(present)
    expected = static.global_local(vector, local.flatten(2).transpose(1, 2))
    torch.testing.assert_close(static.loss(batch)["loss"], expected)

    for negatives in ("episode", "batch"):
        jsd = JSDSTDIM(negatives=negatives)
        assert jsd.needs_same_episode_frames == (negatives == "episode")
        (before, _), (local, vector), (other, _) = map(
            jsd.encoder.feature_maps, (past, present, batch.same_episode_frames)
        )
        before, local, other = (x.flatten(2).transpose(1, 2) for x in (before, local, other))
        if negatives == "batch":
            other = before[[1, 2, 0]]
        terms = jsd.loss(batch)
        torch.testing.assert_close(
            terms["global_local"], jsd.global_local(vector.unsqueeze(1), before, other)
        )
        torch.testing.assert_close(terms["local_local"], jsd.local_local(local, before, other))
        torch.testing.assert_close(terms["loss"], terms["global_local"] + terms["local_local"])


def test_either_term_of_stdim_alone():
    batch = SequenceBatch(frames(2, 3), torch.arange(3))
    torch.manual_seed(0)
    whole = STDIM()
    for terms, off in (("global-local", "local_local"), ("local-local", "global_local")):
        torch.manual_seed(0)
        alone = STDIM(terms=terms)
        assert not any(name.startswith(off) for name, _ in alone.named_parameters())
        name = terms.replace("-", "_")
        part = getattr(alone, name)
        part.load_state_dict(getattr(whole, name).state_dict())
        loss = alone.loss(batch)
        assert set(loss) == {"loss", name}
        torch.testing.assert_close(loss["loss"], whole.loss(batch)[name])
        loss["loss"].backward()
        for parameter, value in alone.named_parameters():  # what DDP would wait for
            assert (value.grad is not None) == value.requires_grad, parameter


def test_stdim_predicts_the_present_as_the_report_does():
    """Its loops: the past's global vector and local features, mapped, against the present's."""
    torch.manual_seed(0)
    method = STDIM(predict="present", encoder_args={"initialization": "pytorch"})
    batch = SequenceBatch(frames(2, 3), torch.arange(3))
    (first_local, first_global), (second_local, _) = map(method.encoder.feature_maps, batch.frames)
    height, width = second_local.shape[2:]
    expected = dict.fromkeys(("global_local", "local_local"), 0.0)
    for h in range(height):
        for w in range(width):
            for name, known in (
                ("global_local", first_global),
                ("local_local", first_local[:, :, h, w]),
            ):
                logits = getattr(method, name).predict(known) @ second_local[:, :, h, w].T
                loss = -logits.softmax(1).diag().log().mean()
                expected[name] = expected[name] + loss / (height * width)
    found = method.loss(batch)
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value)
    torch.testing.assert_close(found["loss"], sum(expected.values()))
    other = STDIM()
    other.load_state_dict(method.state_dict())
    swapped = SequenceBatch(batch.frames.flip(0), batch.anchors)
    torch.testing.assert_close(other.loss(swapped)["loss"], found["loss"])
    assert not torch.allclose(other.loss(batch)["loss"], found["loss"])
    with pytest.raises(ConfigurationError, match="choose from past, present"):
        STDIM(predict="future")


def test_wrong_batches_and_encoders():
    three = SequenceBatch(frames(3, 2), torch.arange(2))
    for method in (GlobalTDIM(), JSDSTDIM()):
        with pytest.raises(ConfigurationError, match="takes sequences of 2 frames, not of 3"):
            method.loss(three)
    with pytest.raises(ConfigurationError, match='negatives="batch"'):
        JSDSTDIM().loss(SequenceBatch(frames(2, 2), torch.arange(2)))
    for cls in (StaticDIM, JSDSTDIM):
        with pytest.raises(EncoderError, match="DIM needs an encoder with a local map"):
            cls(encoder="torch.nn.Identity")


SMALL = {"resize": [105, 80]}  # a quarter of the time


@pytest.mark.parametrize("negatives", ["episode", "batch"])
def test_jsd_stdim_learns(negatives):
    torch.manual_seed(0)
    before, after = learn(JSDSTDIM(negatives=negatives, encoder_args=SMALL), steps=100)
    assert after > before + 0.15


def test_global_t_dim_learns():
    torch.manual_seed(0)
    before, after = learn(GlobalTDIM(lr=1e-3, encoder_args=SMALL), steps=100)
    assert after > before + 0.15


def test_static_dim_learns():
    """Though nothing in its objective is about time: what moves, too, tells frames apart."""
    torch.manual_seed(0)
    before, after = learn(StaticDIM(lr=1e-3, encoder_args=SMALL), steps=60)
    assert after > before + 0.1


@pytest.mark.parametrize("terms", ["global-local", "local-local"])
def test_either_term_of_stdim_alone_learns(terms):
    torch.manual_seed(0)
    before, after = learn(STDIM(terms=terms, lr=1e-3, encoder_args=SMALL), steps=60)
    assert after > before + 0.1
