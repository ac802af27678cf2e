import json
import warnings
from dataclasses import replace
from typing import Any

import pytest
import torch
from scipy.stats import entropy
from torch import Tensor, nn

from lightning_stdim.errors import ConfigurationError, EncoderError
from lightning_stdim.probes import ConvergedSettings, PaperSettings, evaluate_encoder, majority
from lightning_stdim.probes.encode import encode
from lightning_stdim.probes.evaluate import encode_splits
from tests.probes.games import WIDTH, Shift, game

QUICK: dict[str, Any] = {
    "paper": PaperSettings(max_epochs=8, lr=1e-2),
    "converged": ConvergedSettings(strengths=(1e-1, 1e-2)),
    "progress": False,
}


def test_result_is_complete_plain_and_reproducible() -> None:
    data = game()
    first = evaluate_encoder(Shift(), data, **QUICK)
    assert json.loads(json.dumps(first.to_dict(), allow_nan=False)) == first.to_dict() == first
    assert evaluate_encoder(Shift(), data, **QUICK) == first
    assert (first["game"], first["label_set"], first["label_set_version"]) == ("pong", "paper", 1)
    assert first["dropped"] == data.dropped
    assert set(first["protocols"]) == {"paper", "converged"}
    for metrics in first["protocols"].values():
        assert set(metrics) == {"f1", "accuracy", "macro_f1", "balanced_accuracy"}
        f1 = metrics["f1"]
        assert list(f1["variables"]) == ["x", "y", "keys"]
        assert f1["mean_over_categories"] == pytest.approx(
            (f1["variables"]["x"] + f1["variables"]["y"]) / 2
        )
    assert first["controls"]["majority"] == majority(data)["protocols"]["majority"]
    assert set(first["controls"]["shuffled"]) == set(first["protocols"]["converged"])
    assert first["entropies"] == pytest.approx(
        {name: entropy(data.labels[:, v].bincount()) for v, name in enumerate(data.variables)}
    )
    assert first["settings"]["paper"]["lr"] == 1e-2
    assert first["settings"]["converged"]["variables"]["x"]["strength"] in (1e-1, 1e-2)


def test_scores_by_name_and_by_subscript_are_the_same() -> None:
    data = game()
    found = evaluate_encoder(Shift(), data, **QUICK)
    for protocol in ("paper", "converged"):
        table = found["protocols"][protocol]["f1"]
        assert found.f1(protocol) == table["mean_over_categories"]
    accuracy = found["protocols"]["converged"]["accuracy"]
    assert found.mean("accuracy") == accuracy["mean_over_categories"]
    uncategorised = replace(data, categories=dict.fromkeys(data.variables, ()))
    plain = majority(uncategorised)
    f1 = plain["protocols"]["majority"]["f1"]
    assert f1["mean_over_categories"] is None
    assert plain.f1("majority") == f1["mean_over_variables"]
    with pytest.raises(ConfigurationError, match=r"'linear'.*'paper', 'converged'"):
        found.f1("linear")
    with pytest.raises(ConfigurationError, match=r"'recall'.*'accuracy'"):
        found.mean("recall")
    with pytest.raises(KeyError):
        found["predictions"]


def test_splits_may_be_every_other_frame() -> None:
    data = game()
    thin = replace(data, splits={split: part[::2] for split, part in data.splits.items()})
    copied = replace(thin, splits={split: part.clone() for split, part in thin.splits.items()})
    torch.set_warn_always(True)  # else PyTorch says only once that it has to copy
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)
            found = encode_splits(Shift(), thin)
    finally:
        torch.set_warn_always(False)
    expected = encode_splits(Shift(), copied)
    assert found.episodes is not None
    assert expected.episodes is not None
    for split in data.splits:
        assert torch.equal(found.episodes[split], expected.episodes[split])
        assert torch.equal(found.features[split], expected.features[split])


def test_converged_probe_reads_what_is_there_and_its_control_does_not() -> None:
    data = game(1000)
    found = evaluate_encoder(Pixels(), data, protocols=["converged"], progress=False)
    real, control = (
        scores["accuracy"]["variables"]
        for scores in (found["protocols"]["converged"], found["controls"]["shuffled"])
    )
    for name, classes in (("x", WIDTH), ("keys", 2)):
        assert real[name] > 0.95
        # Four deviations of as many coin tosses as there are test frames.
        chance = 1 / classes
        spread = 4 * (chance * (1 - chance) / len(data.splits["test"])) ** 0.5
        assert abs(control[name] - chance) < spread


def test_controls_leave_the_protocols_alone_and_can_be_left_out() -> None:
    data = game()
    found = evaluate_encoder(Shift(), data, **QUICK)
    without = evaluate_encoder(Shift(), data, controls=False, **QUICK)
    assert "controls" not in without
    assert without == {key: value for key, value in found.items() if key != "controls"}
    other = evaluate_encoder(Shift(), data, seed=1, **QUICK)
    assert other["protocols"]["converged"] == found["protocols"]["converged"]
    assert other["controls"]["shuffled"] != found["controls"]["shuffled"]
    paper = evaluate_encoder(Shift(), data, protocols=["paper"], **QUICK)
    assert set(paper["controls"]) == {"majority"}


class Pixels(nn.Module):
    """No parameters, no state."""

    def forward(self, frames: Tensor) -> Tensor:
        return frames.flatten(1) / 255


def test_encoder_and_random_state_are_left_alone() -> None:
    data = game()
    encoder = Shift()
    encoder.dropout.eval()  # a mixture of modes
    before = {key: value.clone() for key, value in encoder.state_dict().items()}
    modes = [module.training for module in encoder.modules()]
    state = torch.get_rng_state()
    evaluate_encoder(encoder, data, **QUICK)
    assert torch.equal(torch.get_rng_state(), state)
    assert [module.training for module in encoder.modules()] == modes
    assert all(parameter.grad is None for parameter in encoder.parameters())
    assert all(parameter.requires_grad for parameter in encoder.parameters())
    for key, value in encoder.state_dict().items():
        assert torch.equal(value, before[key])


def test_every_frame_of_a_split_is_encoded_once_and_no_other() -> None:
    data = game()
    seen: list[Tensor] = []

    class Counting(Pixels):
        def forward(self, frames: Tensor) -> Tensor:
            seen.append(frames)
            return super().forward(frames)

    evaluate_encoder(Counting(), data, batch_size=32, **QUICK)
    used = torch.cat(seen).squeeze(1)
    assert torch.equal(used, data.frames[: len(data.frames) - 3])
    assert max(map(len, seen)) == 32


@pytest.mark.parametrize(
    ("output", "message"),
    [
        (lambda x: x.flatten(1).float()[:, :, None], r"shape \[64, 48, 1\]"),
        (lambda x: x.float().mean(), r"shape \[\]"),
        (lambda x: x.flatten(1).float()[:-1], r"shape \[63, 48\]"),
        (lambda x: x.flatten(1), "torch.uint8"),
        (lambda x: (x.flatten(1).float(), None), "tuple"),
        (lambda x: x.flatten(1) / 0.0, "NaN or infinite"),
        (lambda x: x @ torch.zeros(3), "failed on uint8 frames"),
        (lambda x: {}["x"], r"KeyError: 'x' \(test_evaluate.py:\d+\); frames are uint8, 0 to 255"),
        (lambda x: next(iter(())), r"StopIteration \(test_evaluate.py:\d+\)"),
        (lambda x: x.flatten(1)[:, : len(x)] / 255, "for another"),
    ],
)
def test_wrong_encoders(output: Any, message: str) -> None:
    class Wrong(nn.Module):
        def forward(self, frames: Tensor) -> Any:
            return output(frames)

    with pytest.raises(EncoderError, match=message):
        evaluate_encoder(Wrong(), game(170), batch_size=64, **QUICK)


def test_other_wrong_input() -> None:
    with pytest.raises(EncoderError, match="function"):
        evaluate_encoder(lambda x: x, game(), **QUICK)  # type: ignore[arg-type]
    with pytest.raises(EncoderError, match="no frames"):
        encode(Pixels(), game().frames[:0])
    with pytest.raises(ConfigurationError, match="linear"):
        evaluate_encoder(Pixels(), game(), protocols=["linear"], **QUICK)  # type: ignore[list-item]


def test_majority_predicts_the_most_frequent_training_label() -> None:
    data = game()
    result = majority(data)
    train, test = (data.labels[data.splits[split]] for split in ("train", "test"))
    for v, name in enumerate(data.variables):
        counts = train[:, v].bincount()
        expected = (test[:, v] == counts.argmax()).double().mean().item()
        got = result["protocols"]["majority"]["accuracy"]["variables"][name]
        assert got == pytest.approx(expected)
    assert json.loads(json.dumps(result.to_dict(), allow_nan=False)) == result.to_dict()
    guesses = result.predictions["majority"]
    assert guesses.tolist() == [[train[:, v].bincount().argmax() for v in range(3)]] * len(test)


def test_a_game_with_one_variable() -> None:
    data = game()
    single = type(data)(**{**vars(data), "variables": ("x",), "labels": data.labels[:, :1]})
    scores = evaluate_encoder(Pixels(), single, **QUICK)["protocols"]
    assert set(scores["paper"]["f1"]["variables"]) == {"x"}
