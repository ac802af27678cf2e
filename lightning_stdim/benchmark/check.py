"""Trying a benchmark's runs before the first one starts, so that what fails is told in time."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from lightning_stdim.benchmark.executors import PROGRAM
from lightning_stdim.benchmark.run_spec import RunSpec
from lightning_stdim.datamodules.policies.random_play import POLICIES
from lightning_stdim.utils.log_tail import last_words
from lightning_stdim.utils.progress_bar import progress_bar

POLL_SECONDS = 0.1


def check_runs(specs: Iterable[RunSpec], *, preset: str, root: str | Path) -> list[str]:
    """Build every method and every policy of a benchmark once, and try them on two frames.

    This takes a process of its own, seconds, and no collection. So a class that does not exist or
    does not take an argument, a loss or an encoder that fails, and a policy without its file are
    told before hours are spent on the other runs. Runs that differ in game or seed alone are tried
    once.

    Args:
        specs: the runs that are to be made.
        preset: name of a shipped preset, or a YAML file.
        root: folder of the collections.

    Returns:
        For everything that would fail, its name and why; empty if nothing would.
    """
    with TemporaryDirectory(prefix="stdim-check-") as folder:
        commands = _commands(specs, preset, root, Path(folder) / "runs")
        found = _problems([*commands.values()], Path(folder))
    return [f"{name}: {said}" for name, said in zip(commands, found, strict=True) if said]


def _commands(
    specs: Iterable[RunSpec], preset: str, root: str | Path, out: Path
) -> dict[str, list[str]]:
    """List what to try, by the names that the user knows."""
    commands: dict[str, list[str]] = {}
    for spec in specs:
        if spec.method not in commands and not spec.only_probes:
            # Policies are tried by themselves, so that each is named once.
            options = tuple(one for one in spec.key.options if one[0] != "policy")
            plain = replace(spec, key=replace(spec.key, options=options))
            commands[spec.method] = plain.arguments(preset=preset, root=root, out=out)
        policy = dict(spec.key.options).get("policy", "random")
        if policy not in POLICIES:
            played = ["collect", "--game", spec.key.game, "--policy", policy]
            commands[f"policy {policy} on {spec.key.game}"] = played
    return commands


def _problems(commands: Sequence[Sequence[str]], folder: Path) -> list[str | None]:
    """Try commands; return for each what is wrong with it, or None."""
    found: list[str | None] = []
    file, answers, log = (folder / name for name in ("commands", "answers", "log"))
    with progress_bar("checking", len(commands), enabled=bool(commands)) as update:
        while len(found) < len(commands):
            file.write_text(json.dumps(commands[len(found) :]), "utf-8")
            argv = [*PROGRAM, "check", str(file), "--out", str(answers)]
            answers.touch()
            before = len(found)
            with log.open("w", encoding="utf-8") as output:
                process = subprocess.Popen(
                    argv, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
                )
                while process.poll() is None:
                    time.sleep(POLL_SECONDS)
                    update(before + len(answers.read_text("utf-8").splitlines()), "")
            found += map(json.loads, answers.read_text("utf-8").splitlines())
            answers.unlink()
            if len(found) < len(commands):  # it ended the process, which goes on after it
                said = last_words(log) or "it printed nothing"
                found.append(f"it ends the process with status {process.returncode}: {said}")
        update(len(commands), "")
    return found
