"""The memory that is left, as the system tells it."""

from pathlib import Path

import pytest

from lightning_stdim.utils.hardware import available_memory

GB = 10**9


@pytest.fixture
def system(tmp_path) -> Path:
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/meminfo").write_text("MemFree: 3 kB\nMemAvailable:   8000000 kB\n")
    (tmp_path / "proc/self/cgroup").write_text("4:cpu:/x\n0::/job/step\n")
    return tmp_path


def limit(folder: Path, most: str, used: int, cache: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "memory.max").write_text(f"{most}\n")
    (folder / "memory.current").write_text(f"{used}\n")
    (folder / "memory.stat").write_text(f"anon 5\ninactive_file {cache}\n")


def test_of_the_machine(system):
    assert available_memory(system) == 8_192_000_000


def test_the_smallest_limit_above_a_process_counts(system):
    groups = system / "sys/fs/cgroup"
    limit(groups / "job/step", "max", 2 * GB, 0)
    assert available_memory(system) == 8_192_000_000
    limit(groups / "job", str(5 * GB), 2 * GB, GB)  # a cache is given up
    assert available_memory(system) == 4 * GB
    limit(groups, str(3 * GB), 2 * GB, 0)
    assert available_memory(system) == GB
    limit(groups / "job/step", str(GB), 2 * GB, 0)
    assert available_memory(system) == 0


def test_elsewhere_than_on_linux(tmp_path):
    assert available_memory(tmp_path) > 0


def test_here():
    assert 0 < available_memory() <= available_memory(Path("/nowhere"))
