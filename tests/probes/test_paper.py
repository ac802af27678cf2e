from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lightning_stdim.errors import ConfigurationError, TrainingError
from lightning_stdim.probes.features import ProbeFeatures
from lightning_stdim.probes.heads import LinearHeads, MLPHeads
from lightning_stdim.probes.paper import FrozenProbe, PaperSettings, train_paper

SETTINGS = PaperSettings(
    lr=2e-2,
    batch_size=16,
    max_epochs=40,
    patience=4,
    plateau_patience=1,
    plateau_factor=0.3,
    min_lr=1e-3,
)


def features(n: int = 130, d: int = 5, seed: int = 0) -> ProbeFeatures:
    """Three variables of very different difficulty, so that they stop at different epochs."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(2 * n + 60, d, generator=generator)
    noise = torch.randint(0, 5, (len(x),), generator=generator)
    labels = torch.stack(
        [(x[:, 0] * 3).round().clamp(-4, 4).long() + 100, (x[:, 1] > 0).long(), noise], dim=1
    )
    parts = {"train": slice(0, n), "val": slice(n, n + 60), "test": slice(n + 60, None)}
    return ProbeFeatures(
        variables=("hard", "easy", "noise"),
        features={split: x[part] for split, part in parts.items()},  # type: ignore[misc]
        labels={split: labels[part] for split, part in parts.items()},  # type: ignore[misc]
        episodes={split: torch.arange(len(x[part])) // 7 for split, part in parts.items()},  # type: ignore[misc]
    )


def one_at_a_time(data: ProbeFeatures, v: int, settings: PaperSettings) -> dict[str, Any]:
    """The protocol for one head with PyTorch's own parts."""
    # Initialisation and order of frames are the module's; everything after that is not.
    probe = FrozenProbe(data, settings=settings)
    dim = data.features["train"].shape[1]
    layers: nn.Module = nn.Linear(dim, 256)
    if settings.hidden:
        layers = nn.Sequential(
            nn.Linear(dim, settings.hidden), nn.ReLU(), nn.Linear(settings.hidden, 256)
        )
    never = sorted(set(range(256)) - set(data.labels["train"][:, v].tolist()))

    def head(x: Tensor) -> Tensor:
        logits = layers(x)
        if settings.classes == "observed":
            logits[:, never] = -torch.inf
        return logits

    layers.load_state_dict(probe.heads.heads[v].state_dict())
    optimizer = torch.optim.Adam(layers.parameters(), lr=settings.lr, eps=settings.eps)
    plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(
        optimizer,
        mode="max",
        patience=settings.plateau_patience,
        factor=settings.plateau_factor,
        min_lr=settings.min_lr,
    )
    best, best_epoch, waited, kept = -1.0, 0, 0, layers.state_dict()
    epoch = 0
    for epoch in range(settings.max_epochs):
        order = probe.order("train", epoch)
        for start in range(0, len(order), settings.batch_size):
            index = order[start : start + settings.batch_size]
            loss = F.cross_entropy(
                head(data.features["train"][index]), data.labels["train"][index, v]
            )
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        order = probe.order("val", epoch)
        predictions = head(data.features["val"][order]).argmax(1)
        accuracy = (predictions == data.labels["val"][order, v]).double().mean().item()
        plateau.step(accuracy)
        if accuracy > best:
            best, best_epoch, waited = accuracy, epoch, 0
            kept = {key: value.clone() for key, value in layers.state_dict().items()}
        else:
            waited += 1
            if waited >= settings.patience:
                break
    if settings.restore == "best":
        layers.load_state_dict(kept)
    return {
        "epochs": epoch + 1,
        "best_epoch": best_epoch + 1,
        "val_accuracy": best,
        "final_lr": optimizer.param_groups[0]["lr"],
        "predictions": head(data.features["test"]).argmax(1),
    }


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"restore": "last"},
        {"sampling": "episodes"},
        {"restore": "last", "sampling": "episodes"},
        {"hidden": 6},
        {"classes": "observed"},
        {"hidden": 6, "classes": "observed"},
    ],
    ids=str,
)
def test_fused_training_equals_one_head_at_a_time(change: dict[str, Any]) -> None:
    data = features()
    settings = replace(SETTINGS, **change)
    predictions, counted, details = train_paper(data, settings=settings)
    assert torch.equal(counted, FrozenProbe(data, settings=settings).order("test", 0))
    epochs, rates = set(), set()
    for v, name in enumerate(data.variables):
        alone = one_at_a_time(data, v, settings)
        assert predictions[:, v].tolist() == alone.pop("predictions").tolist()
        assert details[name] == pytest.approx(alone)
        epochs.add(alone["epochs"])
        rates.add(alone["final_lr"])
    assert len(epochs) > 1, "the heads should stop at different epochs for this to test anything"
    assert min(rates) < settings.lr, "some head should have met its plateau"


def test_a_variable_does_not_depend_on_the_others() -> None:
    data = features()
    together, _, details = train_paper(data, settings=SETTINGS, seed=3)
    alone = replace(
        data,
        variables=("noise",),
        labels={split: labels[:, 2:] for split, labels in data.labels.items()},
    )
    by_itself, _, own = train_paper(alone, settings=SETTINGS, seed=3)
    assert torch.equal(together[:, 2:], by_itself)
    assert own["noise"] == details["noise"]


def test_same_seed_same_result_and_another_seed_another() -> None:
    data = features()

    def weights(seed: int) -> Tensor:
        probe = FrozenProbe(data, settings=SETTINGS, seed=seed)
        return torch.cat([probe.order("train", 0), probe.heads.heads[0].weight.flatten()])

    torch.testing.assert_close(weights(1), weights(1), rtol=0, atol=0)
    assert not torch.equal(weights(1), weights(2))
    first, second = (train_paper(data, settings=SETTINGS, seed=1)[0] for _ in range(2))
    assert torch.equal(first, second)


@pytest.mark.parametrize("restricted", [False, True])
@pytest.mark.parametrize("kind", [LinearHeads, partial(MLPHeads, hidden=4)])
def test_closed_form_gradient_is_that_of_autograd(
    kind: Callable[..., LinearHeads], restricted: bool
) -> None:
    classes = torch.tensor([[True] * 7, [True] * 7, [True, False, True, True, False, True, False]])
    heads = kind(["a", "b", "c"], 5, num_classes=7, classes=classes if restricted else None)
    x, y = torch.randn(11, 5), torch.randint(7, (11, 3))
    y[:, 2] = torch.tensor([0, 2, 3, 5])[torch.randint(4, (11,))]
    chosen = [2, 0]
    sum(F.cross_entropy(heads(x)[:, v], y[:, v]) for v in chosen).backward()
    layers = list(zip(*(heads.heads[v].parameters() for v in chosen), strict=True))
    found = [torch.full((len(layer), *layer[0].shape), torch.nan) for layer in layers]
    heads.gradients(
        [torch.stack(layer).detach() for layer in layers],
        x,
        y[:, chosen],
        ~classes[chosen] if restricted else None,
        out=found,
    )
    for layer, gradients in zip(layers, found, strict=True):
        for parameter, gradient in zip(layer, gradients, strict=True):
            torch.testing.assert_close(gradient, parameter.grad)


def test_heads_start_like_linear_layers() -> None:
    state = torch.get_rng_state()
    heads = LinearHeads(["a", "b"], 100)
    assert torch.equal(torch.get_rng_state(), state)
    for parameter in heads.parameters():  # uniform in +-1/10: deviation 1/10/sqrt(3)
        assert parameter.abs().max() <= 0.1
        assert parameter.std().item() == pytest.approx(0.1 / 3**0.5, rel=0.15)
    assert not torch.equal(heads.heads[0].weight, heads.heads[1].weight)


def test_a_hidden_layer_reads_what_no_line_separates() -> None:
    x = torch.randn(900, 2, generator=torch.Generator().manual_seed(0))
    labels = ((x[:, 0] > 0) ^ (x[:, 1] > 0)).long().unsqueeze(1)
    parts = {"train": slice(0, 500), "val": slice(500, 700), "test": slice(700, None)}
    data = ProbeFeatures(
        variables=("xor",),
        features={split: x[part] for split, part in parts.items()},  # type: ignore[misc]
        labels={split: labels[part] for split, part in parts.items()},  # type: ignore[misc]
    )

    def accuracy(hidden: int) -> float:
        settings = replace(SETTINGS, hidden=hidden, patience=15)
        predictions, _, _ = train_paper(data, settings=settings)
        return (predictions == data.labels["test"]).double().mean().item()

    assert accuracy(0) < 0.7
    assert accuracy(16) > 0.9


def test_classes_that_never_occurred_are_never_predicted() -> None:
    data = features()
    settings = replace(SETTINGS, max_epochs=1, lr=1e-6)  # as good as at its initialisation
    anything, _, _ = train_paper(data, settings=settings)
    observed, _, _ = train_paper(data, settings=replace(settings, classes="observed"))
    for v in range(3):
        seen = set(data.labels["train"][:, v].tolist())
        assert not set(anything[:, v].tolist()) <= seen
        assert set(observed[:, v].tolist()) <= seen


def test_standardising_undoes_scale_and_shift() -> None:
    data = features()
    settings = replace(SETTINGS, standardize=True, max_epochs=5)
    scaled = replace(data, features={k: x * 1e-3 + 5 for k, x in data.features.items()})
    base, _, _ = train_paper(data, settings=settings)
    moved, _, _ = train_paper(scaled, settings=settings)
    assert (base == moved).double().mean() > 0.98  # 5 + 1e-3 x has four digits of x
    raw, _, _ = train_paper(scaled, settings=replace(settings, standardize=False))
    assert (base == raw).double().mean() < 0.9


def test_episodes_are_drawn_uniformly() -> None:
    data = features()
    lengths = [5, 100, 20]
    numbers = torch.repeat_interleave(torch.arange(3), torch.tensor(lengths))
    data = replace(data, episodes={"train": numbers})
    drawn = torch.cat(
        [data.draw_by_episode("train", torch.Generator().manual_seed(s)) for s in range(40)]
    )
    share = numbers[drawn].bincount() / len(drawn)
    torch.testing.assert_close(share, torch.full((3,), 1 / 3), rtol=0, atol=0.03)
    assert drawn.unique().tolist() == list(range(125))


def test_wrong_input() -> None:
    with pytest.raises(ConfigurationError, match="lr=0"):
        PaperSettings(lr=0)
    with pytest.raises(ConfigurationError, match="hidden=-1"):
        PaperSettings(hidden=-1)
    data = replace(features(), episodes=None)
    with pytest.raises(ConfigurationError, match="episode_start"):
        train_paper(data, settings=replace(SETTINGS, sampling="episodes"))
    huge = replace(data, features={k: x * 1e38 for k, x in data.features.items()})
    with pytest.raises(TrainingError, match="NaN"):
        train_paper(huge, settings=SETTINGS)


def test_probing_in_a_job_of_several_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = replace(SETTINGS, max_epochs=2)
    alone = train_paper(features(), settings=settings)[0]
    monkeypatch.setenv("SLURM_NTASKS", "4")
    monkeypatch.setenv("SLURM_PROCID", "2")
    monkeypatch.setenv("SLURM_JOB_NAME", "probe")
    assert torch.equal(train_paper(features(), settings=settings)[0], alone)
