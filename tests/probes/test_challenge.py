"""The ``challenge`` protocol against PyTorch's own parts, one head at a time."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lightning_stdim.encoders import NatureEncoder
from lightning_stdim.encoders.undivided import undivided_frames
from lightning_stdim.errors import ConfigurationError, EncoderError
from lightning_stdim.probes import (
    ChallengeSettings,
    ConvergedSettings,
    PaperSettings,
    evaluate_encoder,
)
from lightning_stdim.probes.challenge import train_challenge
from lightning_stdim.probes.features import ProbeFeatures
from lightning_stdim.probes.heads import LinearHeads
from lightning_stdim.probes.metrics import report_f1
from tests.probes.games import Shift, game
from tests.probes.test_paper import features

SETTINGS = ChallengeSettings(batch_size=16, max_epochs=6)


def one_at_a_time(data: ProbeFeatures, v: int, settings: ChallengeSettings) -> dict[str, Any]:
    """The protocol for one head, in the words of the report's code."""
    x, y = data.features["train"], data.labels["train"][:, v]
    head = nn.Linear(x.shape[1], 255)
    # Initial weights and order of frames are the package's; everything else is not.
    usual = LinearHeads(data.variables, x.shape[1], num_classes=255).heads[v]
    head.load_state_dict(usual.state_dict())
    generator = torch.Generator().manual_seed(0)
    optimizer = torch.optim.Adam(head.parameters(), lr=settings.lr)
    for _ in range(settings.max_epochs):
        order = torch.randperm(len(x), generator=generator)
        for start in range(0, len(x) - settings.batch_size + 1, settings.batch_size):
            batch = order[start : start + settings.batch_size]
            loss = F.cross_entropy(head(x[batch]), y[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    with torch.no_grad():
        logits = {split: head(data.features[split]) for split in ("train", "val", "test")}
    labels = {split: data.labels[split][:, v] for split in ("train", "val")}
    return {
        "predictions": logits["test"].argmax(1),
        "train_loss": F.cross_entropy(logits["train"], labels["train"]).item(),
        "val_loss": F.cross_entropy(logits["val"], labels["val"]).item(),
        "val_accuracy": (logits["val"].argmax(1) == labels["val"]).double().mean().item(),
    }


def test_all_heads_together_are_each_alone() -> None:
    data = features(n=131)  # 8 whole batches and 3 frames that wait for another order
    predictions, details = train_challenge(data, settings=SETTINGS)
    for v, name in enumerate(data.variables):
        alone = one_at_a_time(data, v, SETTINGS)
        assert (predictions[:, v] == alone.pop("predictions")).double().mean() > 0.99
        assert details[name] == pytest.approx(alone, rel=1e-3)


def test_defaults_are_the_reports() -> None:
    settings = ChallengeSettings()
    assert (settings.lr, settings.eps) == (5e-2, 1e-8)
    assert (settings.batch_size, settings.max_epochs) == (64, 100)


@pytest.mark.parametrize("name", ["lr", "eps", "batch_size", "max_epochs"])
def test_settings_out_of_their_range(name: str) -> None:
    with pytest.raises(ConfigurationError, match=f"challenge.{name}=0"):
        ChallengeSettings(**{name: 0})


def test_a_split_smaller_than_a_batch_stays_whole() -> None:
    data = features(n=30)
    (found, details), (expected, others) = (
        train_challenge(data, settings=replace(SETTINGS, batch_size=size)) for size in (64, 30)
    )
    assert torch.equal(found, expected)
    assert details == others
    assert details["easy"]["train_loss"] < 5  # of ln 255 = 5.54 before training


def test_a_label_that_no_output_stands_for() -> None:
    data = features()
    data.labels["val"][3, 1] = 255
    with pytest.raises(ConfigurationError, match=r"easy takes the value 255.*leave challenge out"):
        train_challenge(data, settings=SETTINGS)


class Brightness(nn.Module):
    """An encoder of the user's that says what it is fed: 255 times as much if undivided."""

    def __init__(self) -> None:
        super().__init__()
        self.scale_frames = True
        self.fed: list[float] = []

    def forward(self, frames: Tensor) -> Tensor:
        values = frames.flatten(1).float() / (255 if self.scale_frames else 1)
        self.fed.append(values.max().item())
        return values


QUICK: dict[str, Any] = {
    "paper": PaperSettings(max_epochs=2),
    "converged": ConvergedSettings(strengths=(1e-1,)),
    "challenge": ChallengeSettings(max_epochs=3, batch_size=16),
    "controls": False,
    "progress": False,
}
ALL = ("paper", "converged", "challenge")


def bytes_game() -> Any:
    """The game of the other tests without the one label that is too large."""
    data = game()
    return replace(data, labels=data.labels.clamp(max=254))


def test_frames_are_encoded_once_more_and_undivided() -> None:
    data, encoder = bytes_game(), Brightness()
    found = evaluate_encoder(encoder, data, protocols=ALL, batch_size=len(data.frames), **QUICK)
    assert encoder.fed == [1.0, 255.0]
    assert encoder.scale_frames
    assert list(found["protocols"]) == list(ALL)
    assert found["settings"]["challenge"]["lr"] == 5e-2
    assert set(found["settings"]["challenge"]["variables"]) == set(data.variables)
    # The other protocols are what they are without it, and it is what it is without them.
    for chosen in (("paper", "converged"), ("challenge",)):
        alone = evaluate_encoder(encoder, data, protocols=chosen, **QUICK)
        assert alone["protocols"] == {name: found["protocols"][name] for name in chosen}
    assert encoder.fed[-1] == 255.0


def test_both_f1_stand_side_by_side() -> None:
    data = bytes_game()
    found = evaluate_encoder(Brightness(), data, protocols=ALL, seed=3, **QUICK)
    for name in ("paper", "converged"):
        assert "report_f1" not in found["protocols"][name]
    truth = data.labels[data.splits["test"]]
    expected = report_f1(found.predictions["challenge"], truth, batch_size=16, seed=3)
    table = found["protocols"]["challenge"]
    assert list(table["report_f1"]["variables"].values()) == expected.tolist()
    assert table["report_f1"].keys() == table["f1"].keys()
    assert table["report_f1"]["variables"] != table["f1"]["variables"]
    assert found.mean("report_f1", "challenge") == table["report_f1"]["mean_over_categories"]


def test_an_encoder_that_cannot_be_told_is_refused_before_it_is_run() -> None:
    class Deaf(nn.Module):
        def forward(self, frames: Tensor) -> Tensor:
            raise AssertionError("it was run")

    with pytest.raises(ConfigurationError, match=r"Deaf cannot be told so.*scale_frames"):
        evaluate_encoder(Deaf(), bytes_game(), protocols=ALL, **QUICK)
    with pytest.raises(ConfigurationError, match="Shift"):
        evaluate_encoder(Shift(), bytes_game(), protocols=["challenge"], **QUICK)


def test_labels_are_refused_before_the_encoder_is_run() -> None:
    data, encoder = game(), Brightness()
    data.labels[0, 2] = 255
    with pytest.raises(ConfigurationError, match="keys takes the value 255"):
        evaluate_encoder(encoder, data, protocols=ALL, **QUICK)
    assert not encoder.fed


def test_inside_a_wrapper_and_after_an_error_the_encoder_is_as_it_was() -> None:
    inner = NatureEncoder(feature_dim=4)
    wrapped = nn.Sequential(inner, nn.ReLU())
    frames = torch.full((1, 1, 210, 160), 51, dtype=torch.uint8)
    with torch.no_grad(), undivided_frames(wrapped):
        undivided = wrapped(frames)
    expected = NatureEncoder(feature_dim=4, scale_frames=False)
    expected.load_state_dict(inner.state_dict())
    with torch.no_grad():
        torch.testing.assert_close(undivided, expected(frames).relu())
    with pytest.raises(EncoderError), undivided_frames(wrapped):
        wrapped(frames.float())
    assert inner.scale_frames
    with undivided_frames(expected):
        pass
    assert not expected.scale_frames
