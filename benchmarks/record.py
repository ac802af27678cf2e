"""What all benchmarks write: measurements beside the versions, the machine and the command."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from lightning_stdim.benchmark.environment import environment


def write_record(out: str | None, measured: dict[str, Any]) -> None:
    """Write a JSON record, if a file is named."""
    if out is None:
        return
    record = {
        "command": " ".join(["python", f"benchmarks/{Path(sys.argv[0]).name}", *sys.argv[1:]]),
        "environment": environment(),
        **measured,
    }
    Path(out).parent.mkdir(parents=True, exist_ok=True)
    Path(out).write_text(json.dumps(record, indent=1) + "\n", "utf-8")
