"""A folder and a small budget for every test of the command line."""

import pytest

import lightning_stdim.cli.fit  # noqa: F401  Lightning's logger keeps the stderr it finds
from tests.cli.helpers import PROBE_STEPS, STEPS


@pytest.fixture(autouse=True)
def _in_its_own_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def narrow():
    """Options for a quick encoder."""
    return ["--model.encoder_args={resize: [84, 84], feature_dim: 8}"]


@pytest.fixture
def shrunk(small):
    """Options that make any preset quick: a game of short episodes takes few frames to split."""
    options = {
        "data.game": "breakout",
        "data.steps": STEPS,
        "data.probe_steps": PROBE_STEPS,
        "data.root": small["root"],
        "data.workers": 1,
        "data.batch_size": 16,
        "trainer.max_epochs": 1,
        "trainer.limit_train_batches": 3,
        "trainer.limit_val_batches": 2,
        "trainer.limit_test_batches": 2,
        "trainer.enable_progress_bar": "false",
        "trainer.accelerator": "cpu",
        "paper.max_epochs": 1,
        "converged.strengths": "[0.1]",
        "converged.search_tolerance": 0.1,
        "converged.tolerance": 0.01,
        "controls": "false",
    }
    return [f"--{name}={value}" for name, value in options.items()]
