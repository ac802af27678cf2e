from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """Built from a copy, links and tests included, so that the checkout keeps no build folder."""
    source = tmp_path_factory.mktemp("source")
    for name in ("lightning_stdim", "tests"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("setup.cfg", "pyproject.toml", "LICENSE", "README.md", "datamodules", "callbacks"):
        shutil.copy(ROOT / name, source / name, follow_symlinks=False)
    words = ["-m", "pip", "wheel", "--no-deps", "--no-index", "--no-build-isolation"]
    subprocess.run(
        [sys.executable, *words, "--wheel-dir", source / "dist", source],
        check=True,
        capture_output=True,
    )
    (built,) = (source / "dist").iterdir()
    return zipfile.ZipFile(built)


def test_wheel_holds_every_file_of_the_package_and_nothing_else(wheel: zipfile.ZipFile) -> None:
    inside = {name for name in wheel.namelist() if ".dist-info/" not in name}
    package = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "lightning_stdim").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert inside == package
    assert {
        "lightning_stdim/py.typed",
        "lightning_stdim/report/published_results.json",
        "lightning_stdim/report/templates/report.html",
        "lightning_stdim/datamodules/labels/screen_positions.json",
        "lightning_stdim/datamodules/labels/annotations.json",
        "lightning_stdim/configs/laptop.yaml",
        "lightning_stdim/configs/paper.yaml",
        "lightning_stdim/configs/smoke.yaml",
    } <= inside


def test_wheel_metadata(wheel: zipfile.ZipFile) -> None:
    (name,) = (name for name in wheel.namelist() if name.endswith("/METADATA"))
    metadata = wheel.read(name).decode()
    assert "License-Expression: MIT" in metadata
    assert "Requires-Python: <3.14,>=3.11" in metadata
    assert any(name.endswith("licenses/LICENSE") for name in wheel.namelist())
    entry = next(name for name in wheel.namelist() if name.endswith("entry_points.txt"))
    assert "lightning-stdim = lightning_stdim.cli:main" in wheel.read(entry).decode()


@pytest.mark.parametrize("name", ["datamodules", "callbacks"])
def test_top_level_links_are_not_for_importing(name: str) -> None:
    assert (ROOT / name).is_symlink()
    assert (ROOT / name).resolve() == ROOT / "lightning_stdim" / name
    found = subprocess.run(
        [sys.executable, "-c", f"import {name}"], cwd=ROOT, capture_output=True, text=True
    )
    assert found.returncode == 1
    assert f"ImportError: import lightning_stdim.{name}" in found.stderr
    subprocess.run([sys.executable, "-c", f"import lightning_stdim.{name}"], check=True)


def test_constraints_pin_versions_and_nothing_else() -> None:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = [line for line in lines if not line.startswith("#")]
    assert "torch==2.13.0" in pins
    for pin in pins:
        name, equals, version = pin.partition("==")
        assert equals
        assert name
        # A local part (+cpu) or an address would resolve on some machines only.
        assert set(version) <= set("0123456789.") | set("abcdefghijklmnopqrstuvwxyz")


def test_make_help_names_every_target() -> None:
    text = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True)
    words = {line.split()[0] for line in text.stdout.splitlines() if line.startswith("  ")}
    wanted = "help install reproduce test lint typecheck benchmarks wheel clean"
    assert words == set(wanted.split())


def test_a_python_that_is_too_old_gets_a_message(tmp_path: Path) -> None:
    """With no interpreter but an old one, set-up says which are wanted."""
    shutil.copy(ROOT / "Makefile", tmp_path)
    for name in ("setup.cfg", "pyproject.toml", "constraints.txt"):
        (tmp_path / name).touch()
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("sh", "make", "bash"):
        (tools / name).symlink_to(shutil.which(name))
    old = tools / "python3"
    old.write_text("#!/bin/sh\nexit 1\n")
    old.chmod(0o755)
    found = subprocess.run(
        ["make", "install"], cwd=tmp_path, env={"PATH": str(tools)}, capture_output=True, text=True
    )
    assert found.returncode != 0
    assert "No Python 3.11, 3.12 or 3.13 with the venv module was found" in found.stderr
    assert not (tmp_path / ".venv").exists()
