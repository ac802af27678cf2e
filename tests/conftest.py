"""Small real collections, made once and shared by all test processes."""

import os
from pathlib import Path

import pytest

from tests.results import make_result

__all__ = ["make_result"]  # a fixture for all folders

STEPS, PROBE_STEPS = 2500, 4500

# Tests are no tasks of a scheduler that may have started them.
for name in [*os.environ]:
    if name.startswith("SLURM_") or name in ("RANK", "LOCAL_RANK", "TORCHELASTIC_RUN_ID"):
        del os.environ[name]


@pytest.fixture(scope="session")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of collections; ``collect`` itself locks it between processes."""
    base = tmp_path_factory.getbasetemp()
    return (base.parent if base.name.startswith("popen-") else base) / "collections"


@pytest.fixture(scope="session")
def small(root: Path) -> dict[str, object]:
    """Arguments of a small ``AtariDataModule``."""
    return {"steps": STEPS, "probe_steps": PROBE_STEPS, "root": str(root), "workers": 1}
