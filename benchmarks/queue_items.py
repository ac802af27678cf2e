"""The items of the CPU queue: read from the list, and how far each of them is."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import yaml

from lightning_stdim.benchmark.run_spec import clear_unfinished, has_checkpoint
from lightning_stdim.errors import ConfigurationError
from lightning_stdim.utils.log_tail import last_words

STATE = Path("runs/cpu-queue")
"""Folder, in the checkout, of the queue's own files."""


@dataclass(frozen=True)
class Item:
    """An entry of the list (cpu_queue.yaml says what its keys mean), its variables filled in."""

    name: str
    why: str
    command: str
    done: tuple[str, ...]
    needs: tuple[str, ...] = ()

    def is_done(self, folder: Path) -> bool:
        """Tell whether its files are there, and its last try has not failed."""
        there = all((folder / file).is_file() for file in self.done)
        return there and not self.failure(folder).exists()

    def missing(self, folder: Path) -> list[str]:
        """List the files that it needs and that are not there yet."""
        return [file for file in self.needs if not (folder / file).is_file()]

    def log(self, folder: Path) -> Path:
        """Name the file of what it prints."""
        return folder / STATE / f"{self.name}.log"

    def failure(self, folder: Path) -> Path:
        """Name the file that has its exit status if its last try has failed."""
        return folder / STATE / f"{self.name}.failed"

    def prepare(self, folder: Path) -> str:
        """Make its folder ready, and return its command: one that goes on if it can.

        ``benchmark`` finds out by itself what is done. ``fit`` has to be told, and never writes
        into the folder of another run, so what is left of one without a checkpoint is removed.
        """
        if not re.search(r"\blightning_stdim fit\b", self.command):
            return self.command
        run = (folder / self.done[0]).parent
        clear_unfinished(run)
        return f"{self.command} --ckpt_path last" if has_checkpoint(run) else self.command

    def state(self, folder: Path, *, running: bool) -> str:
        """Say how far it is, in words."""
        log = self.log(folder)
        said = f"{last_words(log)} ({log})" if log.exists() else ""
        if running:
            return f"running: {said}"
        if self.is_done(folder):
            return "done"
        if self.failure(folder).exists():
            return f"failed, exit status {self.failure(folder).read_text('utf-8')}: {said}"
        if missing := self.missing(folder):
            return f"waiting for {', '.join(missing)}"
        return f"interrupted: {said}" if said else "waiting"


def read_items(path: Path) -> list[Item]:
    """Read the list; an entry with ``for`` is an item for every combination of its values."""
    items = []
    for entry in yaml.safe_load(path.read_text("utf-8")):
        variables = entry.pop("for", {})
        for values in product(*variables.values()):
            chosen = dict(zip(variables, values, strict=True))
            name, why, command = (entry[key].format(**chosen) for key in ("name", "why", "command"))
            done, needs = (
                tuple(file.format(**chosen) for file in entry.get(key, ()))
                for key in ("done", "needs")
            )
            items.append(Item(name, why, command, done, needs))
    names = [item.name for item in items]
    if twice := {name for name in names if names.count(name) > 1}:
        raise ConfigurationError(f"{path} has items of the same name: {', '.join(sorted(twice))}")
    return items
