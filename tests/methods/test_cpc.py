"""CPC against the loops that the formula spells out."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pytorch_lightning.loggers import CSVLogger

from lightning_stdim.datamodules.atari import AtariDataModule
from lightning_stdim.datamodules.batches import SequenceBatch
from lightning_stdim.errors import ConfigurationError
from lightning_stdim.methods import CPC
from lightning_stdim.objectives import future_infonce
from tests.learning import learn
from tests.trainers import quiet


def slow_infonce(predictions, candidates, steps):
    """Loops over steps, sequences and times; every candidate is scored on its own."""
    sequences, length = candidates.shape[:2]
    losses, accuracies = [], []
    for k, step in enumerate(steps):
        loss, hits, anchors = 0.0, 0, 0
        for i in range(sequences):
            for t in range(length - step):
                scores = {
                    (j, s): (predictions[i, t, k] * candidates[j, s]).sum()
                    for j in range(sequences)
                    for s in range(step, length)
                }
                right = scores[i, t + step]
                loss = loss + torch.logsumexp(torch.stack(list(scores.values())), 0) - right
                hits += right == max(scores.values())
                anchors += 1
        losses.append(loss / anchors)
        accuracies.append(float(hits) / anchors)
    return sum(losses), sum(accuracies) / len(accuracies)


@pytest.mark.parametrize(
    ("sequences", "length", "dim", "steps"),
    [(2, 2, 1, (1,)), (3, 5, 4, (1, 3)), (2, 6, 3, (1, 2, 5))],
)
def test_equal_to_slow_loops_in_value_and_gradient(sequences, length, dim, steps):
    torch.manual_seed(length)
    predictions = torch.randn(sequences, length, len(steps), dim, dtype=torch.float64)
    candidates = torch.randn(sequences, length, dim, dtype=torch.float64)
    inputs = [predictions.requires_grad_(), candidates.requires_grad_()]
    fast, accuracy = future_infonce(*inputs, steps)
    slow, expected_accuracy = slow_infonce(*inputs, steps)
    torch.testing.assert_close(fast, slow)
    assert accuracy.item() == pytest.approx(expected_accuracy)
    for ours, theirs in zip(
        torch.autograd.grad(fast, inputs), torch.autograd.grad(slow, inputs), strict=True
    ):
        torch.testing.assert_close(ours, theirs)


def test_equal_vectors_give_the_sum_of_log_n():
    loss, _ = future_infonce(torch.ones(3, 7, 2, 4), torch.ones(3, 7, 4), (1, 5))
    assert loss.item() == pytest.approx(math.log(3 * 6) + math.log(3 * 2), rel=1e-5)


def test_right_predictions_are_counted():
    candidates = 100 * torch.eye(8).view(2, 4, 8)
    predictions = candidates.roll(-1, 1).unsqueeze(2)
    loss, accuracy = future_infonce(predictions, candidates, (1,))
    assert loss.item() == 0
    assert accuracy.item() == 1
    predictions[0, 0] = candidates[1, 1]  # one of six goes wrong
    assert future_infonce(predictions, candidates, (1,))[1].item() == pytest.approx(5 / 6)


@settings(deadline=None, max_examples=20)
@given(st.integers(2, 5), st.integers(4, 7), st.integers(0, 1000))
def test_permuting_sequences_changes_nothing(sequences, length, seed):
    generator = torch.Generator().manual_seed(seed)
    predictions = torch.randn(sequences, length, 2, 3, generator=generator, dtype=torch.float64)
    candidates = torch.randn(sequences, length, 3, generator=generator, dtype=torch.float64)
    order = torch.randperm(sequences, generator=generator)
    torch.testing.assert_close(
        future_infonce(predictions[order], candidates[order], (1, 3)),
        future_infonce(predictions, candidates, (1, 3)),
    )


def test_predictions_come_from_the_frames_so_far_and_meet_the_right_future():
    """The method's loss, with the context of each time computed from the frames up to it alone."""
    torch.manual_seed(0)
    length, steps = 6, (1, 3, 5)
    method = CPC(sequence_length=length, steps_between=2)
    frames = torch.randint(0, 256, (length, 2, 1, 210, 160)).byte()
    with torch.no_grad():
        vectors = torch.stack([method(frames[:, i]) for i in range(2)])
        contexts = torch.stack(
            [
                torch.stack([method.context(sequence[: t + 1])[0][-1] for t in range(length)])
                for sequence in vectors
            ]
        )
        heads = zip(method.predict.weight.chunk(3), method.predict.bias.chunk(3), strict=True)
        predictions = torch.stack([contexts @ weight.T + bias for weight, bias in heads], 2)
        expected, accuracy = slow_infonce(predictions, vectors, steps)
        terms = method.loss(SequenceBatch(frames, torch.arange(2)))
    torch.testing.assert_close(terms["loss"], expected)
    assert terms["accuracy"].item() == pytest.approx(accuracy)
    assert terms["error"].item() == pytest.approx(1 - accuracy)


def test_the_paper_s_settings_are_the_default():
    method = CPC()
    assert method.sequence_length == 100
    assert method.predict.weight.shape == (25 * 256, 256)  # steps 1, 5, 9, ... 97
    assert list(method.steps) == list(range(1, 98, 4))


def test_other_lengths_are_refused():
    with pytest.raises(ConfigurationError, match="takes sequences of 4 frames, not of 2"):
        CPC(sequence_length=4).loss(
            SequenceBatch(torch.zeros(2, 3, 1, 210, 160).byte(), torch.arange(3))
        )


@pytest.mark.parametrize("arguments", [{"sequence_length": 1}, {"steps_between": 0}])
def test_wrong_arguments_are_refused(arguments):
    with pytest.raises(ConfigurationError, match="=".join(map(str, *arguments.items()))):
        CPC(**arguments)


def test_it_gets_its_sequences_from_the_data_module_and_logs(small, tmp_path):
    trainer = quiet(
        max_epochs=1,
        limit_train_batches=1,
        limit_val_batches=1,
        num_sanity_val_steps=0,
        logger=CSVLogger(tmp_path),
        log_every_n_steps=1,
    )
    trainer.fit(CPC(sequence_length=12), datamodule=AtariDataModule("pong", **small))
    logged = trainer.callback_metrics
    assert 0 <= logged["val/error"] <= 1
    torch.testing.assert_close(1 - logged["val/error"], logged["val/accuracy"])


def test_cpc_beats_the_random_encoder():
    torch.manual_seed(0)
    method = CPC(sequence_length=4, steps_between=2, lr=1e-3)
    before, after = learn(method, steps=40, batch_size=16)
    assert after > before + 0.2
