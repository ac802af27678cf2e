"""What an interrupted command says: what is kept, and a command that goes on."""

import os
import shlex
import signal

import pytest
from pytorch_lightning import Callback

from lightning_stdim.cli import PROGRAM, fit, main
from tests.cli.helpers import metrics, results


class SignalInTraining(Callback):
    """Sends this process a signal after a number of batches, as a terminal or scheduler would."""

    def __init__(self, signum: int, after: int) -> None:
        self.signum, self.after = signum, after

    def on_train_batch_end(self, trainer, *_) -> None:
        if trainer.global_step == self.after:
            os.kill(os.getpid(), self.signum)


@pytest.fixture(autouse=True)
def _handlers():
    before = {one: signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM)}
    yield
    for one, handler in before.items():
        signal.signal(one, handler)


def command_in(said: str, then: str) -> list[str]:
    """Read the command that a message ends with."""
    _, found, command = said.strip().splitlines()[-1].partition(f"{then}: {PROGRAM} ")
    assert found, said
    return shlex.split(command)


def raise_signal(signum):
    def now(*arguments, **options):
        os.kill(os.getpid(), signum)
        pytest.fail("the signal was ignored")

    return now


def test_a_scheduler_ends_a_run_that_still_collects(shrunk, narrow, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(fit.AtariDataModule, "prepare_data", raise_signal(signal.SIGTERM))
    words = ["fit", *shrunk, *narrow, "--out=run"]
    assert main(words) == 130
    assert command_in(capsys.readouterr().err, "to start again") == words
    assert not (tmp_path / "run").exists()


def test_a_scheduler_ends_training_within_an_epoch(shrunk, narrow, tmp_path, capsys, monkeypatch):
    """It is told how to go on, which it does to the same end as a run that was left alone."""
    words = ["fit", *shrunk, *narrow]
    callback = f"--trainer.callbacks+={__name__}.SignalInTraining"
    chosen = [callback, f"--trainer.callbacks.signum={int(signal.SIGTERM)}"]
    chosen += ["--trainer.callbacks.after=2"]  # of three
    assert main([*words, *chosen, "--out=parts"]) == 130
    said = capsys.readouterr().err
    assert "parts/checkpoints/last.ckpt is kept" in said
    again = command_in(said, "to go on")
    assert again[-4:] == ["--out", "parts", "--ckpt_path", "last"]

    # Interrupted while it probes, it says so, and probes.
    monkeypatch.setattr(fit, "evaluate", raise_signal(signal.SIGTERM))
    assert main(again) == 130
    said = capsys.readouterr().err
    assert "the training is done and kept in parts" in said
    assert command_in(said, "to probe it") == again
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    assert main(again) == 0
    assert main([*words, "--out=whole"]) == 0
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    assert results(whole)["scores"] == results(parts)["scores"]
    assert metrics(whole) == metrics(parts)

    capsys.readouterr()
    for command, step in (("validate", "validation_step"), ("predict", "predict_step")):
        for signum in (signal.SIGINT, signal.SIGTERM):
            monkeypatch.setattr(f"lightning_stdim.methods.STDIM.{step}", raise_signal(signum))
            words = [command, "--ckpt_path=whole/checkpoints/last.ckpt"]
            assert main(words) == 130
            assert command_in(capsys.readouterr().err, "to start again") == words


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_probing_an_encoder(signum, small, capsys, monkeypatch):
    from lightning_stdim.runs import finish

    monkeypatch.setattr(finish, "evaluate", raise_signal(signum))
    words = ["probe", "--encoder=random", "--preset=smoke", "--game=breakout", "--steps=1500"]
    words += [f"--root={small['root']}", "--workers=1", "--out=a folder"]
    assert main(words) == 130
    assert command_in(capsys.readouterr().err, "to start again") == words
