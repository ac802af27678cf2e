"""Options that are read from signatures and docstrings."""

import h5py
import pytest

from lightning_stdim.cli import main


@pytest.mark.parametrize(
    "words",
    [
        ["--mixed_label_sets", "FOLDER"],
        ["FOLDER", "--mixed_label_sets"],
        ["FOLDER", "--mixed_label_sets", "true"],
        ["--mixed_label_sets", "FOLDER", "--into", "elsewhere"],
        ["--into", "elsewhere", "--mixed_label_sets", "FOLDER"],
        ["FOLDER", "--mixed_label_sets", "--out", "elsewhere"],
    ],
)
def test_a_switch_needs_no_value(words, tmp_path, capsys):
    """Whatever follows it: the command itself is reached, and finds no run in the folder."""
    assert main(["report", *(str(tmp_path) if w == "FOLDER" else w for w in words)]) != 0
    assert "no run has finished" in capsys.readouterr().err


def test_collect_says_that_it_is_there(small, capsys):
    options = ["collect", "--game=Pong", f"--steps={small['steps']}", f"--root={small['root']}"]
    assert main(options) == 0
    path = capsys.readouterr().out.strip().splitlines()[-1]
    with h5py.File(path) as file:
        assert file["frames"].shape == (small["steps"], 210, 160)
    assert main(options) == 0
    again = capsys.readouterr()
    assert path in again.out
    assert "exists already" in again.err
