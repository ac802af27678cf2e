"""Encoders as folders that stand alone."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file
from torch import nn

from lightning_stdim import NatureEncoder, load_encoder
from lightning_stdim.encoders import resolve_encoder
from lightning_stdim.encoders.pretrained import save_pretrained
from lightning_stdim.errors import ConfigurationError, EncoderError, StoreError
from lightning_stdim.probes.encode import encode

ARGS = {"feature_dim": 6, "in_channels": 2, "resize": [84, 84]}
PATH = "lightning_stdim.encoders.NatureEncoder"
F1 = {"mean_over_categories": 0.61234, "mean_over_variables": 0.5, "categories": {"misc": None}}
RESULTS = {
    "game": "pong",
    "method": "st-dim",
    "seed": 3,
    "preset": "laptop",
    "budget": {"epochs": 5},
    "command": "python -m lightning_stdim fit",
    "scores": {"label_set": "paper", "protocols": {"converged": {"f1": F1}}},
}


@pytest.fixture
def folder(tmp_path):
    torch.manual_seed(0)
    encoder = NatureEncoder(**ARGS)
    frames = torch.randint(0, 256, (2, 2, 210, 160)).byte()
    save_pretrained(encoder, tmp_path / "encoder", path=PATH, args=ARGS, results=RESULTS)
    torch.save((frames, encoder(frames)), tmp_path / "expected.pt")
    return tmp_path / "encoder"


def test_the_same_encoder_comes_back(folder):
    frames, expected = torch.load(folder.parent / "expected.pt")
    run = str(folder.parent)
    for encoder in (load_encoder(folder), resolve_encoder(str(folder)), resolve_encoder(run)):
        assert not encoder.training
        torch.testing.assert_close(encoder(frames), expected, rtol=1e-5, atol=1e-6)


class Tied(nn.Module):
    """Two layers with one weight, and a buffer that is a view of it."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(160, 160), nn.Linear(160, 160)
        self.second.weight = self.first.weight
        self.register_buffer("view", self.first.weight.detach()[:3])

    def forward(self, frames):
        return self.second(self.first(frames[:, 0].float().mean(1))) @ self.view.T


def test_weights_may_be_shared(tmp_path):
    torch.manual_seed(0)
    encoder, frames = Tied(), torch.randint(0, 256, (2, 1, 210, 160)).byte()
    save_pretrained(encoder, tmp_path, path="tests.encoders.test_pretrained.Tied")
    loaded = load_encoder(tmp_path)
    torch.testing.assert_close(loaded(frames), encoder(frames))
    assert loaded.second.weight is loaded.first.weight


def test_the_layout_of_the_hub(folder):
    assert {file.name for file in folder.iterdir()} == {
        "README.md",
        "config.json",
        "model.safetensors",
    }
    weights = load_file(folder / "model.safetensors")
    assert weights["local_layers.0.weight"].shape == (32, 2, 8, 8)
    config = json.loads((folder / "config.json").read_text())
    assert config["encoder_args"] == ARGS
    assert config["f1"] == {"converged": F1}
    _, front, text = (folder / "README.md").read_text().split("---\n", 2)
    (entry,) = yaml.safe_load(front)["model-index"]
    assert entry["name"] == "st-dim on pong"
    assert entry["results"][0]["metrics"][0]["value"] == 0.6123
    assert RESULTS["command"] in text


def test_a_colour_encoder_says_so(folder, tmp_path):
    encoder = NatureEncoder(in_channels=6)
    save_pretrained(encoder, tmp_path / "colour", path=PATH, args={"in_channels": 6}, pixels="rgb")
    kinds = [load_encoder(saved).pixels for saved in (tmp_path / "colour", folder)]
    assert kinds == ["rgb", "luma"]
    text = "red, green and blue of successive frames, the newest last"
    assert json.loads((tmp_path / "colour" / "config.json").read_text())["channels"] == text
    assert text in (tmp_path / "colour" / "README.md").read_text()
    assert "luma of successive frames" in (folder / "README.md").read_text()
    luma, rgb = torch.zeros(3, 210, 160).byte(), torch.zeros(2, 3, 210, 160).byte()
    # Six channels would also be those of six luma frames.
    for saved, frames, others in ((tmp_path / "colour", rgb, luma), (folder, luma, rgb)):
        loaded = load_encoder(saved)
        assert encode(loaded, frames).shape == (len(frames), loaded.feature_dim)
        with pytest.raises(ConfigurationError, match=f"trained on {loaded.pixels} frames"):
            encode(loaded, others)


def test_it_needs_no_trainer(folder):
    code = (
        "import sys; from lightning_stdim import load_encoder; "
        f"load_encoder({str(folder)!r}); print(int('pytorch_lightning' in sys.modules))"
    )
    checkout = Path(__file__).parents[2]
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, cwd=checkout)
    assert said.stdout.strip() == b"0", said.stderr


def change(file, **values):
    config = json.loads(file.read_text())
    file.write_text(json.dumps(config | values))


def test_what_is_wrong_is_named(folder):
    config, weights = folder / "config.json", folder / "model.safetensors"
    good, whole = config.read_text(), weights.read_bytes()
    change(config, encoder_args={**ARGS, "feature_dim": 7})
    with pytest.raises(EncoderError, match=r"do not fit lightning_stdim\.encoders\.NatureEncoder"):
        load_encoder(folder)
    change(config, encoder="os.path.join")
    with pytest.raises(EncoderError, match="is not a subclass"):
        load_encoder(folder)
    change(config, encoder="no.such.Thing")
    with pytest.raises(ConfigurationError, match="cannot be imported"):
        load_encoder(folder)
    config.write_text(good)
    weights.write_bytes(whole[:-5])
    with pytest.raises(StoreError, match="encoder holds no encoder, or a damaged one"):
        load_encoder(folder)
    weights.unlink()
    with pytest.raises(StoreError, match=r"No such file"):
        load_encoder(folder)
    config.write_text("{}")
    with pytest.raises(StoreError, match="must be there and whole"):
        load_encoder(folder)
