"""Presets: their names, and how one starts from another."""

import pytest

from lightning_stdim.errors import ConfigurationError
from lightning_stdim.presets import (
    FOLDER,
    method_files,
    preset_name,
    preset_paths,
    read_preset,
    read_specials,
)


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_an_unknown_name_is_refused_with_the_nearest():
    with pytest.raises(ConfigurationError, match="'laptpo'; did you mean 'laptop'"):
        preset_paths("laptpo")


@pytest.mark.parametrize(("given", "name"), [("smoke", "smoke"), ("my/wide.yaml", "wide")])
def test_a_preset_is_called_by_its_name_or_its_file_s(given, name):
    assert preset_name(given) == name


def test_a_preset_starts_from_the_one_that_it_names(here):
    (here / "long.yaml").write_text("preset: laptop\ntrainer: {max_epochs: 50}\n")
    (here / "longer.yaml").write_text("preset: long.yaml\ndata: {game: boxing}\n")
    laptop, found = read_preset("laptop"), read_preset("longer.yaml")
    assert found["trainer"] == laptop["trainer"] | {"max_epochs": 50}
    assert found["data"] == laptop["data"] | {"game": "boxing"}
    assert found["paper"] == laptop["paper"]
    files = [path.name for path in preset_paths("longer.yaml")]
    assert files == ["laptop.yaml", "long.yaml", "longer.yaml"]


def test_a_file_that_names_itself_starts_from_nothing(here):
    (here / "own.yaml").write_text("preset: own\ndata: {steps: 7}\n")
    assert read_preset("own.yaml") == {"preset": "own", "data": {"steps": 7}}


def test_presets_that_start_from_each_other_are_refused(here):
    (here / "one.yaml").write_text("preset: other.yaml\n")
    (here / "other.yaml").write_text("preset: one.yaml\n")
    with pytest.raises(ConfigurationError, match="start from each other"):
        read_preset("one.yaml")


def test_what_a_preset_sets_for_one_method_is_inherited(here):
    (here / "mine.yaml").write_text("preset: challenge\n")
    (here / "mine").mkdir()
    (here / "mine" / "supervised.yaml").write_text("trainer: {max_epochs: 2}\n")
    paths = method_files("supervised", "mine.yaml")
    assert [path.parent.name for path in paths] == ["methods", "challenge", "mine"]
    inherited = read_specials("challenge")["supervised"]
    assert read_specials("mine.yaml")["supervised"] == inherited | {"trainer": {"max_epochs": 2}}


def test_every_shipped_preset_names_itself():
    for path in FOLDER.glob("*.yaml"):
        assert read_preset(path.stem)["preset"] == path.stem
