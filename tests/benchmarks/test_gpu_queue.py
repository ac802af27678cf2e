"""The GPU queue (benchmarks/gpu_queue.sh) with a stand-in for Python, which notes its words."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import tarfile
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BENCHMARKS = ROOT / "benchmarks"
ITEMS = re.findall(r"^  ([a-z]+)\)", (BENCHMARKS / "gpu_queue.sh").read_text(), re.MULTILINE)

# A benchmark leaves a finished and an unfinished run, the first time that it is asked.
PYTHON = r"""#!/usr/bin/env bash
printf '%s ' "$@" >> "$WORDS"
echo >> "$WORDS"
[ "$1" != -c ] || { echo 2; exit; }
while [ $# -gt 0 ]; do
  case $1 in benchmark) grid=1 ;; --out) out=$2 ;; esac
  shift
done
case $out in *.json) echo '{}' > "$out" ;; esac
[ -n "${grid:-}" ] || exit 0
run=$out/pong/st-dim
ls -d "$run"/*/checkpoints/last.ckpt >> "$WORDS" 2> /dev/null
mkdir -p "$run/seed0/encoder" "$run/seed1/checkpoints"
touch "$run/seed0/results.json" "$run/seed0/encoder/weights" "$run/seed1/config.yaml"
touch "$run/seed1/checkpoints/last.ckpt"
[ -z "${FOREVER:-}" ] || exec sleep 20
"""


class Machine:
    """A copy of the script, in a checkout that has nothing else."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.out, self.words = folder, folder / "out", folder / "words"
        (folder / "benchmarks").mkdir(parents=True)
        shutil.copy(BENCHMARKS / "gpu_queue.sh", folder / "benchmarks")
        python = folder / "bin" / "python3"
        python.parent.mkdir()
        python.write_text(PYTHON)
        python.chmod(0o755)

    def start(self, *words: str, **variables: str) -> subprocess.Popen[str]:
        path = f"{self.folder / 'bin'}{os.pathsep}{os.environ['PATH']}"
        here = {"PATH": path, "OUT": str(self.out), "WORDS": str(self.words)}
        return subprocess.Popen(
            ["bash", str(self.folder / "benchmarks/gpu_queue.sh"), *words],
            env={**os.environ, **here, **variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def __call__(self, *words: str, **variables: str) -> list[str]:
        """Run an item to its end, and return the commands that it gave."""
        process = self.start(*words, **variables)
        printed, _ = process.communicate(timeout=60)
        assert process.returncode == 0, printed
        return self.words.read_text().splitlines()


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path / "machine")


def names(archive: Path) -> set[str]:
    with tarfile.open(archive) as tar:
        return {member.name for member in tar if member.isfile()}


def test_the_items_are_those_of_the_list() -> None:
    listed = re.findall(r"gpu_queue\.sh ([a-z]+)[` ]", (BENCHMARKS / "README.md").read_text())
    assert len(ITEMS) > 10
    assert list(dict.fromkeys(listed)) == ITEMS


@pytest.mark.parametrize("dry", ["", "1"])
@pytest.mark.parametrize("item", ITEMS)
def test_scripts_are_there_and_have_the_options_that_they_get(
    machine: Machine, item: str, dry: str
) -> None:
    words = [line.split() for line in machine(item, DRY=dry) if not line.startswith("-c")]
    assert words
    for script, *options in words:
        if script.endswith(".py"):
            there = re.findall(r'add_argument\(\s*"(--[\w-]+)"', (ROOT / script).read_text())
            assert {word for word in options if word.startswith("--")} <= set(there)
            assert "cuda" not in options or not dry
        elif options[:2] == ["lightning_stdim", "benchmark"]:
            assert options[options.index("--preset") + 1] == ("smoke" if dry else "paper")


def test_what_has_begun_goes_on_on_another_machine(machine: Machine, tmp_path: Path) -> None:
    machine("first")
    found = {path.name for path in machine.out.iterdir()}
    assert found == {
        "gpu-short.tar.gz",
        "paper-gpu.tar.gz",
        "paper-gpu--pong-st-dim-seed0-encoder.tar.00",
        "paper-gpu--pong-st-dim-seed1-unfinished.tar.00",
    }
    assert names(machine.out / "paper-gpu.tar.gz") == {"paper-gpu/pong/st-dim/seed0/results.json"}
    assert names(machine.out / "gpu-short.tar.gz") == {
        f"gpu-short/{script}-gpu.json" for script in ("floors", "step", "probing")
    }
    other = Machine(tmp_path / "other")
    words = other("first", FROM=str(machine.out))
    assert len(words) == 2  # no measurement is repeated
    assert words[1] == "runs/paper-gpu/pong/st-dim/seed1/checkpoints/last.ckpt"
    encoder = other.folder / "runs/paper-gpu/pong/st-dim/seed0/encoder/weights"
    assert encoder.exists()


def test_a_killed_item_has_left_what_was_ready(machine: Machine) -> None:
    process = machine.start("ladder", FOREVER="1", EVERY="0.1")
    archive = machine.out / "paper-gpu.tar.gz"
    deadline = time.monotonic() + 60
    while not archive.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert process.stdout is not None
    process.stdout.close()
    assert names(archive) == {"paper-gpu/pong/st-dim/seed0/results.json"}


def test_an_item_that_is_not_there(machine: Machine) -> None:
    process = machine.start("nonsense")
    assert "there is no item nonsense: first, ladder" in process.communicate()[0]
    assert process.returncode == 2


def test_the_wheels_are_pinned() -> None:
    script = (BENCHMARKS / "gpu_wheels.sh").read_text()
    assert not subprocess.run(["bash", "-n", BENCHMARKS / "gpu_wheels.sh"]).returncode
    lacking = set("|".join(re.findall(r'^lacking="(.*)"$', script, re.MULTILINE)).split("|"))
    lacking.discard("$lacking")
    pins = (ROOT / "constraints.txt").read_text()
    for name in lacking:
        assert re.search(rf"^{name}==", pins, re.MULTILINE), name
    text = (BENCHMARKS / "README.md").read_text()
    said = " ".join(re.findall(r"It lacks (.*?)\.\n", text, re.DOTALL)[0].split())
    plain = {name.lower().replace("_", "-") for name in lacking}
    assert set(re.split(r", | and ", said)) == plain
