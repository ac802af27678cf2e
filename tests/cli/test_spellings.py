"""What options may be called, and what chooses a model and a preset."""

import pytest
import yaml

from lightning_stdim.cli import main
from lightning_stdim.cli.spellings import for_model_command, for_plain_command
from lightning_stdim.errors import ConfigurationError
from lightning_stdim.presets import method_path


def settings(capsys, *words):
    """The settings that ``fit`` would run with."""
    with pytest.raises(SystemExit):
        main(["fit", *words, "--print_config"])
    return yaml.safe_load(capsys.readouterr().out)


def test_options_of_other_commands_are_understood():
    words = [
        "fit",
        "--game",
        "pong",
        "--seed=3",
        "--root",
        "x",
        "--data.steps=9",
        "--label_set=paper",
    ]
    spelt = ["fit", "--data.game", "pong", "--seed_everything=3", "--data.root", "x"]
    assert for_model_command(words, None) == [*spelt, "--data.steps=9", "--data.label_set=paper"]
    words = ["--data.game", "pong", "--seed_everything=3", "--data.root", "x", "--into=y"]
    spelt = ["--game", "pong", "--seed=3", "--root", "x", "--out=y"]
    known = ["game", "seed", "root", "out"]
    assert for_plain_command(words, known) == spelt
    assert for_plain_command(words, ["games"]) == words  # it has no such options


@pytest.mark.parametrize("form", [["--model", "{}"], ["--model={}"]])
def test_a_model_is_named_by_its_method_or_its_class(form):
    def spelt(name, preset=None):
        return for_model_command(["fit", *(word.format(name) for word in form)], preset)[1:]

    assert spelt("vicreg") == [f"--config={method_path('vicreg')}"]
    assert len(spelt("supervised", "challenge")) == 2  # and what the preset sets for it
    assert spelt("STDIM") == ["--model=STDIM"]
    assert spelt("my.module:Mine") == spelt("my.module.Mine") == ["--model=my.module.Mine"]
    for name, said in (
        ("st-dm", "did you mean 'st-dim'"),
        ("Vicreg", "did you mean 'vicreg'"),
        ("majority", "probe --encoder majority"),
        ("nothing-like-it", "there are random-cnn"),
    ):
        with pytest.raises(ConfigurationError, match=said):
            spelt(name)


def test_a_preset_and_a_method_choose_settings(capsys, tmp_path):
    found = settings(capsys, "--preset=smoke", "--model=st-dim-local-local", "--data.steps=123")
    assert (found["preset"], found["method_name"]) == ("smoke", "st-dim-local-local")
    assert (found["data"]["steps"], found["data"]["probe_steps"]) == (123, 6000)
    assert found["model"]["init_args"]["terms"] == "local-local"
    (tmp_path / "mine.yaml").write_text("preset: paper\nmodel: vae\ntrainer: {max_epochs: 2}\n")
    (tmp_path / "own.yaml").write_text("preset: own\ndata: {steps: 5}\n")
    found = settings(capsys, "--config=own.yaml")  # a preset of one's own, which names itself
    assert (found["preset"], found["data"]["steps"]) == ("own", 5)
    for word in ("--config=mine.yaml", "--preset=mine.yaml"):  # the same settings either way
        found = settings(capsys, word)
        assert found["data"]["steps"] == 100_000
        assert found["trainer"]["max_epochs"] == 2
        assert found["method_name"] == "vae"
        assert found["model"]["class_path"] == "lightning_stdim.methods.VAE"


def test_a_method_in_a_file_has_what_the_preset_sets_for_it(capsys, tmp_path):
    (tmp_path / "cell.yaml").write_text("preset: challenge\nmodel: supervised\n")
    (tmp_path / "alone.yaml").write_text("model: supervised\ntrainer: {precision: bf16-mixed}\n")
    typed = settings(capsys, "--preset=challenge", "--model=supervised")
    assert typed["model"]["init_args"]["optimizers"] == "per_variable"
    assert settings(capsys, "--config=cell.yaml") == typed
    found = settings(capsys, "--preset=challenge", "--config=alone.yaml")
    assert found["trainer"].pop("precision") == "bf16-mixed"
    assert typed["trainer"].pop("precision") != "bf16-mixed"
    assert found == typed


def test_what_comes_later_on_the_command_line_counts(capsys, tmp_path):
    (tmp_path / "vae.yaml").write_text("model: {class_path: lightning_stdim.methods:VAE}\n")
    (tmp_path / "frames.yaml").write_text("data: {steps: 77}\n")
    found = settings(capsys, "--config=frames.yaml", "--model=CPC", "--config=vae.yaml")
    assert found["model"]["class_path"] == "lightning_stdim.methods.VAE"
    assert found["data"]["steps"] == 77
    assert found["preset"] is None  # nothing of a preset is mixed with a configuration
    assert found["data"]["probe_steps"] == 50_000
    found = settings(capsys, "--config=vae.yaml", "--model=CPC")
    assert found["model"]["class_path"] == "lightning_stdim.methods.CPC"


def test_the_name_of_another_method_is_refused(shrunk, capsys, tmp_path):
    assert main(["fit", *shrunk, "--method_name=vicreg", "--out=run"]) == 2
    assert "method_name=vicreg, but the model is a STDIM" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
