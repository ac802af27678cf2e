"""An agent's features through the command line, from its file to the scores."""

import json

import pytest
import torch
from torch import nn

from lightning_stdim.cli import main
from lightning_stdim.encoders import AgentEncoder
from lightning_stdim.encoders.pretrained import load_encoder
from lightning_stdim.errors import ConfigurationError
from lightning_stdim.methods import PretrainedAgent
from lightning_stdim.presets import method_path, preset_path


@pytest.fixture
def agent(tmp_path):
    torch.manual_seed(0)
    cnn = nn.Sequential(
        *(nn.Conv2d(4, 32, 8), nn.ReLU(), nn.Conv2d(32, 64, 4), nn.ReLU(), nn.Conv2d(64, 64, 3))
    )
    features = nn.ModuleDict({"cnn": cnn, "linear": nn.Sequential(nn.Linear(3136, 8))})
    actor = nn.ModuleDict({"features_extractor": features, "action_net": nn.Linear(8, 6)})
    torch.save(actor.state_dict(), tmp_path / "actor.pt")
    return tmp_path / "actor.pt"


def test_is_frozen_and_asks_for_four_frames(agent):
    method = PretrainedAgent(agent=str(agent))
    assert method.frame_stack == 4
    assert method.data_stage == "probe"
    assert method.configure_optimizers() is None
    with pytest.raises(ConfigurationError, match=r"needs an agent: --model\.agent FILE"):
        PretrainedAgent()


def test_fit_probes_the_features_and_a_checkpoint_needs_no_agent(
    agent, small, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    words = [
        f"--data.root={small['root']}",
        f"--data.probe_steps={small['probe_steps']}",
        "--data.workers=1",
        "--trainer.accelerator=cpu",
        "--paper.max_epochs=1",
        "--converged.strengths=[0.01]",
    ]
    configs = [f"--config={preset_path('smoke')}", f"--config={method_path('pretrained-agent')}"]
    assert main(["fit", *configs, *words, "--model.agent=actor.pt", "--out=run"]) == 0
    found = json.loads((tmp_path / "run" / "results.json").read_text())
    assert found["method"] == "pretrained-agent"
    assert found["budget"]["optimizer_steps"] == 0
    assert found["scores"]["protocols"]["converged"]["f1"]["mean_over_variables"] > 0

    colour = ["--data.pixels=rgb", "--model.agent=actor.pt", "--out=colour"]
    assert main(["fit", *configs, *words, *colour]) == 2
    assert "the model takes luma frames and data.pixels=rgb" in capsys.readouterr().err

    expected = AgentEncoder(str(agent))
    agent.unlink()
    checkpoint = "run/checkpoints/last.ckpt"
    frames = torch.randint(0, 256, (2, 4, 210, 160)).byte()
    assert torch.equal(load_encoder(checkpoint)(frames), expected(frames))
    assert main(["validate", f"--ckpt_path={checkpoint}"]) == 0
