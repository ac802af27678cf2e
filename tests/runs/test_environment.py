from __future__ import annotations

import getpass
import json
import platform
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

from lightning_stdim.runs.environment import environment


def test_versions_and_machine_as_plain_data() -> None:
    found = environment()
    assert found["packages"]["numpy"] == version("numpy")
    assert found["packages"]["torch"] == version("torch")
    assert found["python"] == platform.python_version()
    assert found["cores"] >= 1
    assert json.loads(json.dumps(found)) == found


def test_it_tells_nothing_about_whose_machine_it_is() -> None:
    text = json.dumps(environment())
    assert platform.node() not in text
    assert str(Path.home()) not in text
    assert str(Path.cwd()) not in text
    if getpass.getuser() != "root":
        assert getpass.getuser() not in text


def test_pytorch_is_not_imported_for_it() -> None:
    code = (
        "import sys; from lightning_stdim.runs.environment import environment\n"
        "found = environment(); assert found['gpu'] is None; assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
