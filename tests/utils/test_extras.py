"""A library that is missing is named with the extra that has it."""

import sys
from configparser import ConfigParser
from pathlib import Path

import pytest

from lightning_stdim.benchmark.ray_executor import RayExecutor
from lightning_stdim.datamodules.policies.agent import with_agent_preprocessing
from lightning_stdim.datamodules.policies.train_ppo import build_model
from lightning_stdim.errors import ConfigurationError


@pytest.mark.parametrize(
    ("use", "module", "requirement", "extra"),
    [
        (lambda: with_agent_preprocessing(None), "cv2", "opencv-python-headless", "agents"),
        (
            lambda: build_model("pong", seed=0, device="cpu", precision="32"),
            "stable_baselines3",
            "stable-baselines3",
            "agents",
        ),
        (lambda: RayExecutor(1), "ray", "ray", "ray"),
    ],
)
def test_a_missing_library_is_named_with_its_extra(use, module, requirement, extra, monkeypatch):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(
        ConfigurationError, match=rf'install the extra {extra!r}, .*"\.\[{extra}\]"'
    ):
        use()
    setup = ConfigParser()
    setup.read(Path(__file__).parents[2] / "setup.cfg")
    assert requirement in setup["options.extras_require"][extra]
