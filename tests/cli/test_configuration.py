"""The configuration that a command starts from."""

import glob

import pytest

from lightning_stdim.cli.configuration import as_default_files


def test_files_with_defaults_are_taken_literally(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("a[b]?*.yaml", "ab.yaml", "~.yaml"):
        (tmp_path / name).touch()
        (pattern,) = as_default_files([name])
        assert glob.glob(pattern) == [str(tmp_path / name)]
    with pytest.raises(FileNotFoundError):
        as_default_files(["missing.yaml"])
