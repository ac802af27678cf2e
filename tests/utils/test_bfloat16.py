"""bfloat16 on processors without units for it."""

import re
from pathlib import Path

import pytest

from lightning_stdim.cli import main
from lightning_stdim.datamodules.policies import train_ppo
from lightning_stdim.errors import ConfigurationError
from lightning_stdim.utils import hardware
from lightning_stdim.utils.hardware import has_bfloat16


@pytest.mark.parametrize(
    ("listed", "expected"),
    [
        ("flags\t\t: fpu avx512f avx512_bf16 gfni", True),
        ("flags\t\t: fpu amx_tile amx_bf16", True),
        ("flags\t\t: fpu avx2 avx512f avx512bw", False),
        ("Features\t: fp asimd bf16 i8mm", True),
        ("Features\t: fp asimd", False),
        ("hart\t\t: 0", True),  # nothing is known
    ],
)
def test_what_linux_lists(listed: str, expected: bool, tmp_path: Path) -> None:
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/cpuinfo").write_text(f"processor\t: 0\n{listed}\nbugs\t\t: bf16\n")
    assert has_bfloat16(tmp_path) is expected
    assert has_bfloat16(tmp_path / "nowhere")


def stop(*arguments: object, **options: object) -> None:
    raise ConfigurationError("far enough")


FIT = ["fit", "--trainer.accelerator=cpu", "--trainer.precision"]
POLICY = ["train-policy", "--device=cpu", "--precision"]


@pytest.mark.parametrize("units", [True, False])
@pytest.mark.parametrize(
    ("words", "chosen"),
    [
        ([*FIT, "bf16-mixed"], "--trainer.precision 32-true"),
        ([*FIT, "bf16-true"], "--trainer.precision 32-true"),
        ([*FIT, "32-true"], None),
        ([*POLICY, "bf16-mixed"], "--precision 32"),
        ([*POLICY, "32"], None),
    ],
    ids=lambda value: value[-1] if isinstance(value, list) else None,
)
def test_the_command_line_warns(
    words: list[str],
    chosen: str | None,
    units: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    from lightning_stdim.cli import fit

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(hardware, "has_bfloat16", lambda: units)
    monkeypatch.setattr(train_ppo, "train_ppo", stop)
    monkeypatch.setattr(fit.StdimCLI, "before_fit", stop)
    assert main(words) == 2
    warnings = [line for line in capsys.readouterr().err.splitlines() if "bfloat16" in line]
    if chosen is None or units:
        assert not warnings
    else:
        (warning,) = warnings
        assert warning.startswith("warning: ")
        assert f"which {chosen} chooses" in warning


def test_the_ratio_is_that_of_the_record(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hardware, "has_bfloat16", lambda: False)
    table = Path(__file__).parents[2] / "results/benchmarks/attempts.md"
    (row,) = re.findall(r"^\| bfloat16 \| as it is \| \d+ \| ([\d.]+) ", table.read_text(), re.M)
    assert f"takes {row} of float32's time" in str(hardware.slow_bfloat16("--precision 32"))
