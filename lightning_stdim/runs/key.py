"""The identity of a run: what it is of, as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

Option = tuple[str, str]
"""A setting that differs from the preset's, by name, and its value as a command line writes it.
With an empty name: the user's own words for what differs."""

AGENTS = (".zip", ".safetensors", ".pth", ".pt")
"""How the names of agents' files end."""


@dataclass(frozen=True)
class RunKey:
    """What a run is of: two runs of one key are the same run.

    A benchmark makes it, or ``fit`` and ``probe`` themselves. ``results.json`` stores it, and names
    of directories and in tables are derived from it; nothing reads it back out of a name.

    Attributes:
        game: canonical name.
        method: a name of the catalogue, the dotted path of a class, or the stem of the file that
            configures the method.
        seed: of the collections, the splits, the initialisation and the training.
        options: what differs from the preset; empty if nothing does.
        source: the run whose encoder this one probes; None for a run with an encoder of its own.
    """

    game: str
    method: str
    seed: int
    options: tuple[Option, ...] = ()
    source: RunKey | None = None

    def __str__(self) -> str:
        return f"{self.game} {' '.join(filter(None, (self.method, self.variant)))} seed {self.seed}"

    @property
    def variant(self) -> str:
        """What differs from the preset, in words such as ``"steps=3000"``; empty if nothing does.

        Of a run with a source: what differs in the source; ``from=`` the game that its encoder was
        trained on, if it is another; and, after ``probe.``, what differs in the probe.
        """
        words = [self.source.variant] if self.source else []
        if self.source and self.source.game != self.game:
            words.append(f"from={self.source.game}")
        prefix = "probe." if self.source else ""
        words += [_in_words(name, value, prefix) for name, value in self.options]
        return ",".join(filter(None, words))

    @property
    def name(self) -> str:
        """The method and the variant, such as ``"st-dim,steps=3000"``: what a seed is one of."""
        return ",".join(filter(None, (self.method, self.variant)))

    def folder(self, out: Path) -> Path:
        """Name the run's directory in a benchmark.

        Args:
            out: the benchmark's directory.

        Returns:
            ``out/<game>/<name>/seed<seed>``.
        """
        return out / self.game / self.name / f"seed{self.seed}"

    def to_dict(self) -> dict[str, Any]:
        """Give the key as plain data.

        Returns:
            What :meth:`from_dict` reads, and JSON can hold.
        """
        return {
            "game": self.game,
            "method": self.method,
            "seed": self.seed,
            "options": [list(option) for option in self.options],
            "source": self.source.to_dict() if self.source else None,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Self:
        """Read a key from plain data.

        Args:
            data: what :meth:`to_dict` gave; ``"options"`` and ``"source"`` may be left out.

        Returns:
            The key.

        Raises:
            KeyError: game, method or seed is missing.
        """
        source = data.get("source")
        return cls(
            game=data["game"],
            method=data["method"],
            seed=data["seed"],
            options=tuple((str(name), str(value)) for name, value in data.get("options", ())),
            source=cls.from_dict(source) if source else None,
        )

    @classmethod
    def of_record(cls, results: Mapping[str, Any]) -> Self:
        """Give the key of a results file.

        Args:
            results: its content.

        Returns:
            The key that it stores. A file from before keys were stored has its variant in words;
            each of them becomes an option.
        """
        if "key" in results:
            return cls.from_dict(results["key"])
        words = filter(None, results.get("variant", "").split(","))
        options = tuple(_option_of(word) for word in words)
        return cls(results["game"], results["method"], results["seed"], options)


def _in_words(name: str, value: str, prefix: str) -> str:
    if not name:
        return value
    return f"{prefix}{name}={_short(value) if name == 'policy' else value}"


def _short(policy: str) -> str:
    """Name an agent by its file; by its folder if the file's name says nothing."""
    path = Path(policy)
    if path.suffix not in AGENTS:  # "sticky-random", "module:callable"
        return policy
    return path.parent.name if path.stem == "policy" and path.parent.name else path.stem


def _option_of(word: str) -> Option:
    name, equals, value = word.partition("=")
    return (name, value) if equals else ("", word)
