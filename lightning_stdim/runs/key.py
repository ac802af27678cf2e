"""The identity of a run, as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from lightning_stdim.datamodules.policies.settings import AGENT_SUFFIXES
from lightning_stdim.errors import ConfigurationError

Option = tuple[str, str]
"""A setting that differs from the preset's: its name, and its value as a command line writes it.
With an empty name: the user's own words for what differs."""

FRAMES = {
    "policy": "random",
    "pixels": "luma",
    "mode": "default",
    "difficulty": "default",
    "environment": "paper",
}
"""Options that say which frames are collected, with the protocol's values. Epsilon and greedy are
part of a policy's name."""


@dataclass(frozen=True)
class RunKey:
    """The identity of a run: two runs with the same key are the same run.

    A benchmark makes it, or else ``fit`` and ``probe`` themselves, and ``results.json`` stores it.
    The names of directories and the names in tables are derived from it. Nothing reads it back out
    of a name.

    Attributes:
        game: canonical name.
        method: a name of the catalogue, the dotted path of a class, or the stem of the file that
            configures the method.
        seed: random seed of the collections, the splits, the initial weights and the training.
        options: what differs from the preset, without what follows from these options; empty if
            nothing does.
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

        For a run with a source it has what differs in the source; ``from=`` the game that the
        encoder was trained on and ``encoder.seed=`` its seed, if they are others; and, after
        ``probe.``, what differs in the probe.
        """
        words = [self.source.variant] if self.source else []
        if self.source and self.source.game != self.game:
            words.append(f"from={self.source.game}")
        if self.source and self.source.seed != self.seed:
            words.append(f"encoder.seed={self.source.seed}")
        prefix = "probe." if self.source else ""
        words += [_in_words(name, value, prefix) for name, value in self.options]
        return ",".join(filter(None, words))

    @property
    def trained_where_probed(self) -> bool:
        """Whether the frames alone differ from the preset's, and the probes have the same ones."""
        if self.source:  # a repetition of that run's own probes, or else another variant
            same = (self.game, self.variant) == (self.source.game, self.source.variant)
            return same and self.source.trained_where_probed
        return all(name in FRAMES for name, _ in self.options)

    @property
    def name(self) -> str:
        """The method and the variant, such as ``"st-dim,steps=3000"``."""
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
        """Convert the key to plain data.

        Returns:
            A dictionary that :meth:`from_dict` reads and JSON can hold.
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
            data: the result of :meth:`to_dict`; ``"options"`` and ``"source"`` may be left out.

        Returns:
            The key.

        Raises:
            ConfigurationError: the data is something else.
        """
        kinds: dict[str, type] = {"game": str, "method": str, "seed": int}
        for name, kind in kinds.items():
            if not isinstance(data, Mapping) or not isinstance(data.get(name), kind):
                raise ConfigurationError(f"a run's key needs a {name!r} of type {kind.__name__}")
        options = data.get("options") or ()
        for option in options:
            if not isinstance(option, list | tuple) or list(map(type, option)) != [str, str]:
                raise ConfigurationError(
                    f"a run's key has the option {option!r}: expected a name and a value, both text"
                )
        source = data.get("source")
        return cls(
            game=data["game"],
            method=data["method"],
            seed=data["seed"],
            options=tuple((name, value) for name, value in options),
            source=None if source is None else cls.from_dict(source),
        )

    @classmethod
    def of_record(cls, results: Mapping[str, Any]) -> Self:
        """Read the key of a results file.

        Args:
            results: the file's content, validated.

        Returns:
            The key that it stores. In a file from before keys were stored there is a variant in
            words; each of these becomes an option.
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
    """Name an agent by its file, or by its folder if the file is called ``policy``."""
    path = Path(policy)
    if path.suffix not in AGENT_SUFFIXES:  # "sticky-random", "module:callable"
        return policy
    return path.parent.name if path.stem == "policy" and path.parent.name else path.stem


def _option_of(word: str) -> Option:
    name, equals, value = word.partition("=")
    return (name, value) if equals else ("", word)
