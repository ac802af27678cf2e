from dataclasses import replace

import pytest
import torch
from sklearn.linear_model import LogisticRegression
from torch import Tensor

from lightning_stdim.errors import ConfigurationError
from lightning_stdim.probes import logistic
from lightning_stdim.probes.converged import ConvergedSettings, train_converged
from lightning_stdim.probes.features import ProbeFeatures
from lightning_stdim.probes.logistic import Logistic, minimise


def problem(n: int = 200, d: int = 6, k: int = 5, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Correlated features of very different sizes; noisy labels of very different frequencies."""
    generator = torch.Generator().manual_seed(seed)
    mixing = torch.randn(d, d, generator=generator, dtype=torch.float64)
    features = torch.randn(n, d, generator=generator, dtype=torch.float64) @ mixing
    directions = torch.randn(d, k, generator=generator, dtype=torch.float64)
    logits = features @ directions - torch.arange(k)
    labels = logits.softmax(1).multinomial(1, generator=generator).squeeze(1)
    return features, labels


def dataset(features: Tensor, labels: Tensor, cuts: tuple[int, int] = (120, 160)) -> ProbeFeatures:
    parts = {
        "train": slice(0, cuts[0]),
        "val": slice(cuts[0], cuts[1]),
        "test": slice(cuts[1], None),
    }
    return ProbeFeatures(
        variables=tuple(f"v{i}" for i in range(labels.shape[1])),
        features={split: features[part].float() for split, part in parts.items()},  # type: ignore[misc]
        labels={split: labels[part] for split, part in parts.items()},  # type: ignore[misc]
    )


def test_derivatives_are_those_of_autograd() -> None:
    features, labels = problem()
    z = torch.cat([features, torch.ones(len(features), 1)], dim=1)
    weights = torch.randn(7, 5, dtype=torch.float64, requires_grad=True)
    penalty = torch.tensor([0.1] * 6 + [0.0], dtype=torch.float64)
    loss = torch.nn.functional.cross_entropy(z @ weights, labels)
    loss = loss + 0.5 * (penalty[:, None] * weights**2).sum()
    loss.backward()
    point = Logistic(z, labels, 5).evaluate(weights.detach(), penalty)
    assert point.value == pytest.approx(loss.item(), rel=1e-12)
    torch.testing.assert_close(point.gradient, weights.grad)


@pytest.mark.parametrize("widest", [768, 3, 1])
@pytest.mark.parametrize("strength", [1.0, 1e-2, 1e-4])
@pytest.mark.parametrize(("n", "d", "k"), [(200, 6, 5), (40, 3, 2), (30, 50, 4)])
def test_reaches_the_optimum_of_scikit_learn(
    strength: float, n: int, d: int, k: int, widest: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logistic, "WIDEST", widest)
    features, labels = problem(n, d, k)
    classes, labels = labels.unique(return_inverse=True)
    z = torch.cat([features, torch.ones(n, 1)], dim=1)
    penalty = torch.full((d + 1,), strength, dtype=torch.float64)
    penalty[-1] = 0.0
    solver = Logistic(z, labels, len(classes))
    point = minimise(solver, solver.start(), penalty, tolerance=1e-12)
    theirs = LogisticRegression(C=1 / (strength * n), tol=1e-12, max_iter=100_000)
    theirs.fit(features.numpy(), labels.numpy())
    expected = torch.from_numpy(theirs.predict_proba(features.numpy()))
    if len(classes) > 2:  # with two, scikit-learn regularises a different parametrisation
        torch.testing.assert_close((z @ point.weights).softmax(1), expected, rtol=0, atol=1e-5)
        coefficients = torch.from_numpy(theirs.coef_).T
        coefficients = torch.cat([coefficients, torch.from_numpy(theirs.intercept_)[None]])
        assert point.value == pytest.approx(solver.evaluate(coefficients, penalty).value, rel=1e-9)
    assert solver.evaluate(point.weights, penalty).gradient.abs().max() < 1e-5


@pytest.mark.parametrize("strength", [1e-3, 1e-5])
def test_stops_as_near_to_the_minimum_as_it_says(strength: float) -> None:
    """Many classes in a row, each sharing frames with its neighbours: a position, as in a game."""
    generator = torch.Generator().manual_seed(0)
    place = torch.rand(1500, generator=generator, dtype=torch.float64)
    waves = torch.arange(1, 13) * torch.pi * place[:, None]
    z = torch.cat([waves.sin(), waves.cos(), torch.ones(1500, 1)], dim=1)
    z[:, :-1] += 0.2 * torch.randn(1500, 24, generator=generator, dtype=torch.float64)
    solver = Logistic(z, (place * 30).long(), 30)
    penalty = torch.tensor([strength] * 24 + [0.0], dtype=torch.float64)
    least = minimise(solver, solver.start(), penalty, tolerance=1e-10).value
    found = minimise(solver, solver.start(), penalty, tolerance=1e-5)
    # The distance is an estimate, and how good depends on rounding: up to 3.3e-5 was seen.
    assert (found.value - least) / least < 5e-5


@pytest.mark.parametrize("limits", [{}, {"WIDEST": 3}, {"MOST_NUMBERS": 5 * 3**2 + 1}])
def test_preconditioner_is_the_inverse_of_the_hessians_own_blocks(
    limits: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of so many columns as are allowed, the last ones; of the others of the diagonals."""
    wide = 3 if limits else 7
    for name, value in {"NEGLIGIBLE": 0.0, "SAMPLE": 1000, **limits}.items():  # exact: all frames
        monkeypatch.setattr(logistic, name, value)
    features, labels = problem()
    z = torch.cat([features, torch.ones(len(features), 1)], dim=1)
    generator = torch.Generator().manual_seed(1)
    weights = torch.randn(7, 5, generator=generator, dtype=torch.float64)
    gradient = torch.randn(7, 5, generator=generator, dtype=torch.float64)
    penalty = torch.tensor([0.1] * 6 + [0.0], dtype=torch.float64)

    def loss(weights: Tensor) -> Tensor:
        return torch.nn.functional.cross_entropy(z @ weights, labels)

    hessian = torch.func.hessian(loss)(weights)  # [J, K, J, K]
    found = Logistic(z, labels, 5).precondition(weights, penalty) @ gradient
    for k in range(5):
        own = hessian[:, k, :, k] + penalty.diag()
        expected = gradient[:, k] / own.diagonal()
        expected[-wide:] = torch.linalg.solve(own[-wide:, -wide:], gradient[-wide:, k])
        torch.testing.assert_close(found[:, k], expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("seed", range(4))
def test_preconditioner_of_features_that_do_not_vary(seed: int) -> None:
    """Of a collapsed encoder: two vectors, so that the constant is a sum of other columns."""
    generator = torch.Generator().manual_seed(seed)
    vectors = 0.05 * torch.randn(2, 256, generator=generator)
    z = vectors[torch.arange(600) % 2] + 1e-6 * torch.randn(600, 256, generator=generator)
    z = torch.cat([z, torch.ones(600, 1)], dim=1)
    problem = Logistic(z, torch.randint(3, (600,), generator=generator), 3)
    penalty = torch.full((257,), 1e-9)
    penalty[-1] = 0
    inverse = problem.precondition(problem.start(), penalty)
    assert torch.linalg.eigvalsh(inverse.blocks.double()).min() > 0


def test_float32_reaches_the_same_optimum() -> None:
    features, labels = problem(500, 20, 8)
    axes = torch.linalg.svd(features, full_matrices=False).U * 500**0.5
    z = torch.cat([axes, torch.ones(500, 1)], dim=1)
    penalty = torch.tensor([1e-4] * 20 + [0.0])
    values = {}
    for dtype, tolerance in ((torch.float32, 1e-5), (torch.float64, 1e-12)):
        solver = Logistic(z.to(dtype), labels, 8)
        point = minimise(solver, solver.start(), penalty.to(dtype), tolerance=tolerance)
        values[dtype] = point.value
    assert values[torch.float32] == pytest.approx(values[torch.float64], rel=1e-3)


def test_protocol_does_not_depend_on_the_scale_of_the_features() -> None:
    features, first = problem(200, 6, 5)
    labels = torch.stack([first * 40, (features[:, 0] > 0).long()], dim=1)
    base, details = train_converged(dataset(features, labels))
    scale = torch.tensor([1e-3, 1e3, 1.0, 10.0, 0.1, -5.0])
    shift = torch.tensor([0.0, 100.0, -3.0, 1.0, 0.2, 7.0])
    moved, moved_details = train_converged(dataset(features * scale + shift, labels))
    assert torch.equal(base, moved)
    for name in details:
        assert details[name]["strength"] == moved_details[name]["strength"]


def test_protocol_does_not_depend_on_the_order_of_frames() -> None:
    features, labels = problem(200, 6, 5)
    order = torch.cat([torch.randperm(120), torch.arange(120, 200)])
    base, _ = train_converged(dataset(features, labels[:, None]))
    shuffled, _ = train_converged(dataset(features[order], labels[order][:, None]))
    assert torch.equal(base, shuffled)


def test_protocol_predicts_like_scikit_learn_at_the_chosen_strength() -> None:
    features, labels = problem(300, 6, 5)
    data = dataset(features, labels[:, None], (200, 250))
    settings = ConvergedSettings(tolerance=1e-10, dtype="float64")
    predictions, details = train_converged(data, settings=settings)
    train = data.features["train"].double()
    mean, deviation = train.mean(0), train.std(0, correction=0)
    theirs = LogisticRegression(
        C=1 / (details["v0"]["strength"] * len(train)), tol=1e-10, max_iter=10_000
    ).fit(((train - mean) / deviation).numpy(), data.labels["train"][:, 0].numpy())
    test = (data.features["test"].double() - mean) / deviation
    assert predictions[:, 0].tolist() == theirs.predict(test.numpy()).tolist()


def test_chooses_the_strength_with_the_best_validation() -> None:
    features, labels = problem(200, 6, 5)
    data = dataset(features, labels[:, None])
    for criterion, key, sign in (
        ("accuracy", "val_accuracy", 1),
        ("log_loss", "val_log_loss", -1),
    ):
        exact = {"search_tolerance": 1e-12, "tolerance": 1e-12, "dtype": "float64"}
        whole = ConvergedSettings(criterion=criterion, patience=99, **exact)  # type: ignore[arg-type]
        _, chosen = train_converged(data, settings=whole)
        each = [
            train_converged(data, settings=replace(whole, strengths=(s,)))[1]["v0"]
            for s in whole.strengths
        ]
        best = max(sign * one[key] for one in each)
        assert sign * chosen["v0"][key] == pytest.approx(best, abs=1e-6)


def test_dead_features_and_unseen_classes() -> None:
    features, labels = problem(200, 6, 5)
    alive, work = train_converged(dataset(features, labels[:, None]))
    # A dead feature that wakes up in the test split must not be heard.
    dead = torch.full((200, 1), 0.3)
    dead[160:] = 1e6
    both = torch.cat([features, dead], 1)
    with_dead, the_same_work = train_converged(dataset(both, labels[:, None]))
    assert torch.equal(alive, with_dead)
    assert work == the_same_work
    labels[120:] += 100  # nothing that validation or test ask for was ever seen
    unseen, details = train_converged(dataset(features, labels[:, None]))
    assert unseen.max() < 100
    assert details["v0"]["val_accuracy"] == 0.0
    assert details["v0"]["val_log_loss"] is None


def test_one_class_is_always_predicted() -> None:
    features, _ = problem()
    predictions, _ = train_converged(dataset(features, torch.full((200, 1), 7)))
    assert (predictions == 7).all()


@pytest.mark.parametrize(
    "wrong",
    [{"strengths": ()}, {"strengths": (1e-3, 1e-2)}, {"strengths": (0.0,)}, {"patience": 0}],
)
def test_wrong_settings(wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigurationError):
        ConvergedSettings(**wrong)  # type: ignore[arg-type]
