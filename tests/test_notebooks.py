"""Notebooks run from top to bottom in an empty folder."""

import os
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from lightning_stdim.runs.results import read_results

CHECKOUT = Path(__file__).parents[1]
MOST_LINES = 30


def read(name):
    return nbformat.read(CHECKOUT / "notebooks" / name, as_version=4)


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Execute a notebook and return its cells' printed output."""
    monkeypatch.setenv("PYTHONPATH", str(CHECKOUT), prepend=os.pathsep)
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # other tests use the other cores

    def run(name):
        notebook = read(name)
        NotebookClient(notebook, timeout=600, resources={"metadata": {"path": tmp_path}}).execute()
        return ["".join(out.get("text", "") for out in cell.get("outputs", [])) for cell in
                notebook.cells]  # fmt: skip

    return run


def test_a_method_of_one_s_own(run, tmp_path):
    name = "add_your_own_method.ipynb"
    written = next(cell.source for cell in read(name).cells if "my_method.py" in cell.source)
    assert len(written.splitlines()) - 1 <= MOST_LINES
    output = run(name)
    methods = [read_results(tmp_path / "runs" / k)["method"] for k in ("mine", "st-dim")]
    assert methods == ["my_method.TimeContrast", "st-dim"]
    assert any("TimeContrast" in text and "random-cnn" in text for text in output)
    assert not any(cell.get("outputs") for cell in read(name).cells)  # committed without output
