"""Nothing that is printed ends a command: no console's encoding, closed pipe or full disk."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from lightning_stdim.cli.streams import READABLE, forgiving_output
from lightning_stdim.runs.results import write_results

FULL = Path("/dev/full")


def run(code: str, *options: str, **settings) -> subprocess.CompletedProcess[str]:
    """Print in a process of its own, whose standard streams are real ones."""
    start = "import sys\nfrom lightning_stdim.cli.streams import forgiving_output\n"
    lines = "".join(f"    {line}\n" for line in code.splitlines())
    code = f"{start}with forgiving_output():\n{lines}sys.exit(7)"
    settings = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **settings}
    return subprocess.run([sys.executable, *options, "-c", code], text=True, **settings)


@pytest.mark.parametrize(
    ("encoding", "printed"),
    [
        ("utf-8", b"0.70\xc2\xb1.03 \xe2\x88\x920.10 \xe2\x80\x93 \\udcfc"),
        ("latin-1", b"0.70\xb1.03 -0.10 - \\udcfc"),
        ("ascii", b"0.70~.03 -0.10 - \\udcfc"),
    ],
)
def test_every_console_can_be_written_to(monkeypatch, encoding, printed) -> None:
    console = io.TextIOWrapper(io.BytesIO(), encoding)
    monkeypatch.setattr(sys, "stdout", console)
    with forgiving_output():
        # The last is a byte of a file's name that is not UTF-8.
        print("0.70±.03 −0.10 – \udcfc", end="")
    console.flush()
    assert console.buffer.getvalue() == printed
    assert sys.stdout is console


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("−0.10", "-0.10"),
        ("5–8", "5-8"),
        ("a — b", "a - b"),
        ("re‑use", "re-use"),
        ("‘a’ “b”", "'a' \"b\""),
        ("84 × 84", "84 x 84"),
        ("a · b…", "a . b."),
        ("0.70±.03", "0.70~.03"),
        ("• first", "* first"),
    ],
)
def test_signs_stay_what_they_are_and_as_wide(text, printed) -> None:
    assert text.encode("ascii", READABLE).decode() == printed
    assert len(printed) == len(text)


def test_a_limit_stays_within_what_it_limits() -> None:
    assert "≤100 epochs, ≥3 seeds".encode("ascii", READABLE) == b"<=100 epochs, >=3 seeds"


@pytest.mark.parametrize("options", [(), ("-u",)])
def test_a_reader_that_has_gone_is_not_missed(options) -> None:
    with subprocess.Popen(["true"], stdin=subprocess.PIPE) as gone:
        gone.wait()
        code = "for k in range(9999): print('a line', flush=True)\nprint('done', file=sys.stderr)"
        found = run(code, *options, stdout=gone.stdin)
    assert (found.returncode, found.stderr) == (7, "done\n")


@pytest.mark.skipif(not FULL.exists(), reason="this system has no /dev/full")
def test_a_full_disk_is_not_missed() -> None:
    with FULL.open("w", encoding="utf-8") as full:
        found = run("print('a line')", stdout=full)
    assert (found.returncode, found.stderr) == (7, "")


def test_unbuffered_output_stays_so() -> None:
    code = "print('first')\nprint('second', file=sys.stderr)\nprint('third')"
    assert run(code, "-u", stderr=subprocess.STDOUT).stdout == "first\nsecond\nthird\n"


def test_a_command_on_a_console_without_unicode(tmp_path, make_result) -> None:
    write_results(tmp_path / "a", make_result(seed=0))
    write_results(tmp_path / "b", make_result(seed=1, values=(0.2, 0.4, 0.7)))
    locale = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    words = [sys.executable, "-m", "lightning_stdim", "report", str(tmp_path), "--tables"]
    found = subprocess.run(words, capture_output=True, env=os.environ | locale)
    assert found.returncode == 0, found.stderr
    assert b"0.55~" in found.stdout
    assert "0.55±" in (tmp_path / "pong" / "comparison.md").read_text("utf-8")
