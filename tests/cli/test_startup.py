"""What must stay quick to import: whoever asks for help should not wait for PyTorch."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

NO_EMULATOR = """
import sys
from lightning_stdim.datamodules.collection.collect import collect
from lightning_stdim.datamodules.collection.settings import CollectionSettings
collect(CollectionSettings("pong", steps=5), root=sys.argv[1], progress=False)
print([m for m in ("ale_py", "gymnasium", "torch") if m in sys.modules])
"""
HEAVY = ("torch", "pytorch_lightning", "matplotlib", "h5py", "scipy")


@pytest.mark.parametrize(
    "code",
    [
        "import lightning_stdim",
        "import lightning_stdim.datamodules.labels",
        "import lightning_stdim.benchmark.runner, lightning_stdim.report.published",
        "from lightning_stdim.cli import main; main(['--help'])",
        "from lightning_stdim.cli import main; main(['--version'])",
        "from lightning_stdim.cli import main; main(['list', 'methods'])",
        "from lightning_stdim.cli import main; main(['list', 'labels', 'pong'])",
    ],
)
def test_no_heavy_library_is_imported(code: str) -> None:
    code += f"\nimport sys; print('imported:', [m for m in {HEAVY} if m in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.splitlines()[-1] == "imported: []"


def test_the_emulator_is_the_workers_business(tmp_path: Path) -> None:
    command = [sys.executable, "-c", NO_EMULATOR, str(tmp_path)]
    found = subprocess.run(command, capture_output=True, text=True, check=True)
    assert found.stdout == "[]\n"
