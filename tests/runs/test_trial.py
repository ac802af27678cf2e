"""A model is tried on made-up frames, before anything is collected or written."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from lightning_stdim import AtariDataModule, SSLMethod, methods
from lightning_stdim.errors import ConfigurationError, EncoderError
from lightning_stdim.probes import Supervised
from lightning_stdim.runs.trial import try_out

ON_CPU = {"accelerator": "cpu", "devices": 1}


def of_loss(compute, needs=2):
    """Make a method whose ``loss`` is what a function makes of the features' difference."""

    class Mine(SSLMethod):
        def loss(self, batch):
            past, present = (self.encoder(frames) for frames in batch.frames)
            if len(past) < needs:
                raise RuntimeError(f"only {len(past)} samples")
            return compute(past - present)

    return Mine()


class Encoder(nn.Module):
    def __init__(self, answer="right"):
        super().__init__()
        self.layer = nn.Linear(210, 3)
        self.answer = answer

    def forward(self, frames):
        if self.answer == "asserts":
            assert frames.is_floating_point()
        if self.answer == "undivided":
            return self.layer(frames)
        rows = frames.float().mean(3)  # [B, 1, 210]
        return {
            "right": lambda: self.layer(rows.flatten(1)),
            "shape": lambda: self.layer(rows),
            "tuple": lambda: (self.layer(rows.flatten(1)), None),
            "key": lambda: {}["features"],
            "integers": lambda: rows.flatten(1).long(),
        }[self.answer]()


@pytest.mark.parametrize(
    ("compute", "message"),
    [
        (lambda x: x.square().mean(), "must return a dict with 'loss'.*Mine's returns a Tensor"),
        (lambda x: None, "must return a dict with 'loss'.*returns a NoneType"),
        (
            lambda x: {"mse": x.mean()},
            r"must return a dict with 'loss'.*returns one with \['mse'\]",
        ),
        (lambda x: {"loss": 0.5}, "'loss' of Mine's is a float"),
        (lambda x: {"loss": x}, r"'loss' of Mine's is a tensor of shape \[64, 256\]"),
        (lambda x: {"loss": x.mean(), "each": x[0]}, r"'each' of Mine's is a tensor of shape"),
        (lambda x: {"loss": (x > 0).sum()}, "'loss' of Mine's is a tensor of torch.int64"),
        (lambda x: {"loss": x.mean().detach()}, "Mine fails to train.*does not require grad"),
        (lambda x: {}["a"], r"Mine fails to train.*KeyError: 'a' \(test_trial.py:\d+\)"),
    ],
)
def test_the_contract_of_a_loss_is_told(compute, message):
    with pytest.raises(ConfigurationError, match=message):
        try_out(of_loss(compute), **ON_CPU)


def test_frames_that_are_not_divided_are_told():
    class Mine(SSLMethod):
        def loss(self, batch):
            past, present = batch.frames
            return {"loss": (past - present).mean()}

    with pytest.raises(
        ConfigurationError, match=r"uint8, 0 to 255: begin with frames.float\(\) / 2"
    ):
        try_out(Mine(), **ON_CPU)


@pytest.mark.parametrize("model", ["method", "supervised"])
@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ("asserts", r"Encoder failed on uint8 .*AssertionError.* \(test_trial.py:\d+\).* / 255"),
        ("undivided", r"Encoder failed on uint8 .*RuntimeError: .*\(test_trial.py:\d+\)"),
        ("key", "Encoder failed on uint8 frames .*KeyError: 'features'"),
        ("shape", r"Encoder must return a float tensor.*not shape \[2, 1, 3\]"),
        ("tuple", "Encoder must return a float tensor.*not a tuple"),
        ("integers", "Encoder must return a float tensor.*not torch.int64"),
    ],
)
def test_an_encoder_that_fails_is_named_with_the_place(answer, message, model):
    made = {"method": of_loss(lambda x: {"loss": x.mean()}), "supervised": Supervised()}[model]
    made.encoder = Encoder(answer)
    with pytest.raises(EncoderError, match=message):
        try_out(made, **ON_CPU)


def test_a_loss_that_needs_more_samples_is_given_a_whole_batch():
    picky = of_loss(lambda x: {"loss": x.square().mean()}, needs=16)
    try_out(picky, **ON_CPU)
    with pytest.raises(ConfigurationError, match="RuntimeError: only 8 samples"):
        try_out(picky, batch_size=8, **ON_CPU)


def test_what_noise_cannot_tell_is_left_to_the_run():
    try_out(of_loss(lambda x: {"loss": x.mean() * float("nan")}), **ON_CPU)
    uncopied = of_loss(lambda x: None)
    uncopied.lines = iter(())  # an iterator of a file's lines, say
    uncopied.__class__.__deepcopy__ = lambda self, memo: {}[self]
    try_out(uncopied, **ON_CPU)


SHIPPED = [
    name
    for name in [*methods.__all__, "Supervised"]
    if name not in ("SSLMethod", "PretrainedAgent")
]


@pytest.mark.parametrize("name", SHIPPED)
def test_what_ships_passes_and_is_left_as_it_was(name):
    model = getattr(methods, name, Supervised)()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    state = torch.get_rng_state()
    try_out(model, **ON_CPU)
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())
    assert model.training
    assert torch.equal(torch.get_rng_state(), state)


def test_colour_and_stacked_frames():
    model = methods.VICReg(pixels="rgb", encoder_args={"in_channels": 6})
    assert model.frame_stack == 2
    try_out(model, **ON_CPU)


def test_a_model_may_read_the_data_module():
    class Curious(SSLMethod):
        def on_fit_start(self):
            assert self.trainer.datamodule.game == "breakout"

        def loss(self, batch):
            return {"loss": self.encoder(batch.frames[0]).mean()}

    try_out(Curious(), data=AtariDataModule("breakout"), **ON_CPU)
    with pytest.raises(ConfigurationError, match="'game'"):
        try_out(Curious(), **ON_CPU)


@pytest.mark.parametrize(
    ("error", "advised"),
    [("result type Float can't be cast to Byte", True), ("no such thing", False)],
)
def test_bytes_are_explained_where_they_are_the_matter(error, advised):
    def fails(_):
        raise RuntimeError(error)

    with pytest.raises(ConfigurationError) as caught:
        try_out(of_loss(fails), **ON_CPU)
    assert ("frames.float() / 255" in str(caught.value)) == advised
