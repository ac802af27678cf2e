"""A device that is not there is refused before any work is done."""

import pytest

from lightning_stdim.cli import main


@pytest.mark.parametrize("device", ["abacus", "cuda:99"])
@pytest.mark.parametrize("command", [["probe", "--encoder", "random"], ["train-policy"]])
def test_a_device_that_is_not_there(command, device, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main([*command, "--device", device]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: device '{device}' cannot be used: ")
    assert len(error.splitlines()) == 1
    assert not list(tmp_path.rglob("*.h5"))
