import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, balanced_accuracy_score, f1_score
from torch import Tensor
from torch.utils.data import BatchSampler

from lightning_stdim.probes import PerVariableScores
from lightning_stdim.probes.metrics import report_f1

SCIKIT = {
    "f1": lambda y, p: f1_score(y, p, average="weighted", zero_division=0),
    "macro_f1": lambda y, p: f1_score(y, p, average="macro", zero_division=0),
    "accuracy": accuracy_score,
    "balanced_accuracy": balanced_accuracy_score,
}


def draw(seed: int, n: int, v: int, k: int) -> tuple[Tensor, Tensor]:
    """Predictions that are often right, with classes that occur on one side only."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(k, (n, v), generator=generator)
    guesses = torch.randint(k, (n, v), generator=generator)
    keep = torch.rand(n, v, generator=generator) < 0.5
    return torch.where(keep, labels, guesses), labels


@pytest.mark.filterwarnings("ignore:y_pred contains classes not in y_true")
@pytest.mark.filterwarnings("ignore:A single label was found")
@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**16),
    n=st.integers(1, 40),
    v=st.integers(1, 4),
    k=st.sampled_from([1, 2, 3, 17, 256]),
)
def test_equals_scikit_learn(seed: int, n: int, v: int, k: int) -> None:
    predictions, labels = draw(seed, n, v, k)
    metric = PerVariableScores(v)
    metric.update(predictions, labels)
    ours = metric.compute()
    assert set(ours) == set(SCIKIT)
    for name, theirs in SCIKIT.items():
        expected = [theirs(labels[:, i], predictions[:, i]) for i in range(v)]
        torch.testing.assert_close(
            ours[name].flatten(), torch.tensor(expected, dtype=torch.float64)
        )


def test_batches_and_ranks_add_up() -> None:
    predictions, labels = draw(0, 50, 3, 7)
    whole, first, second = (PerVariableScores(3) for _ in range(3))
    whole.update(predictions, labels)
    first.update(predictions[:20], labels[:20])
    second.update(predictions[20:41], labels[20:41])
    second.update(predictions[41:], labels[41:])
    # What torchmetrics does with the states of two ranks.
    merged = {
        name: first._reductions[name](torch.stack([getattr(first, name), getattr(second, name)]))
        for name in ("hits", "support", "predicted")
    }
    for name, value in merged.items():
        torch.testing.assert_close(value, getattr(whole, name), rtol=0, atol=0)
        setattr(first, name, value)
    for name, value in first.compute().items():
        torch.testing.assert_close(value, whole.compute()[name], rtol=0, atol=0)


@pytest.mark.filterwarnings("ignore:The ``compute`` method")
def test_without_frames_everything_is_undefined() -> None:
    for value in PerVariableScores(2).compute().values():
        assert value.shape == (2,)
        assert value.isnan().all()


@pytest.mark.filterwarnings("ignore:y_pred contains classes not in y_true")
@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**16),
    n=st.integers(1, 90),
    v=st.integers(1, 3),
    k=st.sampled_from([1, 2, 17, 256]),
    size=st.sampled_from([5, 16, 64]),
)
def test_the_reports_f1_is_scikit_learns_called_its_way(
    seed: int, n: int, v: int, k: int, size: int
) -> None:
    predictions, labels = draw(seed, n, v, k)
    order = torch.randperm(n, generator=torch.Generator().manual_seed(seed)).tolist()
    batches = list(BatchSampler(order, min(size, n), drop_last=True))  # type: ignore[arg-type]
    expected = [
        np.mean([f1_score(predictions[b, i], labels[b, i], average="weighted") for b in batches])
        for i in range(v)
    ]
    ours = report_f1(predictions, labels, batch_size=size, seed=seed)
    torch.testing.assert_close(ours, torch.tensor(expected, dtype=torch.float64))


def test_the_reports_f1_by_hand() -> None:
    """Right twice, then once in two: the swap weighs class 1 by its one prediction."""
    labels = torch.tensor([[0], [0], [1], [1], [1]])
    predictions = torch.tensor([[0], [0], [0], [0], [1]])
    # F1 of class 0 is 2 * 2 / (2 + 4), of class 1 it is 2 * 1 / (3 + 1).
    ours = report_f1(predictions, labels, batch_size=5)
    assert ours.item() == pytest.approx((4 * 4 / 6 + 1 * 2 / 4) / 5)
