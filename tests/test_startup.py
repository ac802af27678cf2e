"""What must stay quick to import: whoever asks for help should not wait for PyTorch."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = ("torch", "lightning", "matplotlib", "h5py")


@pytest.mark.parametrize(
    "code",
    [
        "import lightning_stdim",
        "import lightning_stdim.datamodules.labels",
        "import lightning_stdim.benchmark.runner, lightning_stdim.benchmark.published",
        "from lightning_stdim.cli import main; main(['--help'])",
    ],
)
def test_no_heavy_library_is_imported(code: str) -> None:
    code += f"\nimport sys; print('imported:', [m for m in {HEAVY} if m in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.splitlines()[-1] == "imported: []"
