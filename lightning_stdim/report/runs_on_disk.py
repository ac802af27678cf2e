"""What a benchmark has left on disk: finished runs with their files, and those that failed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from lightning_stdim.errors import ConfigurationError, StoreError
from lightning_stdim.report.names import in_order, name_of
from lightning_stdim.runs.curves import Curves, read_curves
from lightning_stdim.runs.predictions import Predictions
from lightning_stdim.runs.results import FILE, Results, read_results
from lightning_stdim.utils.log_tail import last_words


@dataclass(frozen=True)
class Run:
    """A finished run.

    Attributes:
        folder: its directory.
        results: the content of its results file.
    """

    folder: Path
    results: Results

    @property
    def name(self) -> str:
        """The method and the variant, as ``tables.name_of``."""
        return name_of(self.results["method"], self.results.get("variant", ""))

    @property
    def frames(self) -> str:
        """In what its probe frames differ from the protocol's, as ``tables.frames_of``."""
        return frames_of(self.results)

    def curves(self) -> Curves:
        """Read what it logged; nothing if it trained nothing."""
        metrics = self.folder / "metrics.csv"
        return read_curves(metrics) if metrics.is_file() else {}

    def predictions(self) -> Predictions | None:
        """Read what its probes predicted; None if that was not written."""
        return Predictions.read(self.folder)


def on_the_same_frames(runs: Sequence[Run]) -> list[Run]:
    """Leave out runs whose probe frames are of another kind than most: their labels are others.

    Args:
        runs: of one game.

    Returns:
        Those of the most frequent kind; of several equally frequent ones the protocol's own, or the
        first by name.
    """
    kinds = Counter(run.frames for run in runs)
    kind = min(kinds, key=lambda kind: (-kinds[kind], kind), default="")
    return [run for run in runs if run.frames == kind]


@dataclass(frozen=True)
class Failure:
    """A run that failed and has not succeeded since.

    Attributes:
        cell: its game, method and seed, in words.
        words: the last line that it printed.
    """

    cell: str
    words: str


@dataclass(frozen=True)
class Record:
    """A benchmark's directory.

    Attributes:
        out: the directory.
        runs: the finished runs, ordered by path; at least one.
        failures: the failed ones, ordered by path.
        chosen: the methods that it was narrowed to; empty if it is whole.
    """

    out: Path
    runs: tuple[Run, ...]
    failures: tuple[Failure, ...]
    chosen: tuple[str, ...] = ()

    def only(self, methods: Sequence[str]) -> Record:
        """Narrow it to some methods, with all their variants.

        Args:
            methods: their names, at least one.

        Returns:
            The same without the other methods' runs.

        Raises:
            ConfigurationError: a method has no finished run.
        """
        there = {run["method"] for run in self.results}
        for name in methods:
            if name not in there:
                raise ConfigurationError(
                    f"no run of {name!r} has finished in {self.out}; there are "
                    f"{', '.join(in_order(there))}"
                )
        runs = tuple(run for run in self.runs if run.results["method"] in methods)
        return replace(self, runs=runs, chosen=tuple(methods))

    def on_the_same_frames(self) -> Record:
        """Narrow it to runs whose scores compare; see the function of that name.

        Returns:
            The same without the other runs.
        """
        runs = (run for game in self.games for run in on_the_same_frames(list(self.of(game))))
        return replace(self, runs=tuple(runs))

    @property
    def results(self) -> list[Results]:
        """The content of every results file."""
        return [run.results for run in self.runs]

    @property
    def games(self) -> list[str]:
        """Canonical names of the games that have runs, in alphabetical order."""
        return sorted({run.results["game"] for run in self.runs})

    def of(self, game: str) -> Iterator[Run]:
        """Give the runs of one game.

        Args:
            game: canonical name.

        Yields:
            Its runs.
        """
        return (run for run in self.runs if run.results["game"] == game)


def read_record(out: str | Path) -> Record:
    """Read every results file of a benchmark.

    Args:
        out: the benchmark's directory.

    Returns:
        What is there.

    Raises:
        StoreError: there is no results file, or one cannot be read.
    """
    out = Path(out)
    paths = sorted(out.rglob(FILE))
    if not paths:
        raise StoreError(f"{out} holds no {FILE}: no run has finished there")
    return Record(
        out=out,
        runs=tuple(Run(path.parent, read_results(path)) for path in paths),
        failures=tuple(_failures(out.rglob("seed*.error.txt"))),
    )


def _failures(paths: Iterable[Path]) -> Iterator[Failure]:
    for path in sorted(paths):
        folder = path.with_name(path.name.removesuffix(".error.txt"))
        if not (folder / FILE).exists():
            game, method, seed = folder.parts[-3:]
            yield Failure(f"{game} {method} seed {seed.removeprefix('seed')}", last_words(path))


def frames_of(run: Results) -> str:
    """Say in what a run's probe frames differ from the protocol's.

    Args:
        run: its results.

    Returns:
        Such as ``"mode 12"`` or ``"policy ppo.zip, in colour"``; empty if in nothing. Runs of one
        game and seed with the same words are of the same frames.
    """
    known = run["scores"].get("provenance", {}).get("collection", {})
    words = [f"{name} {known[name]}" for name in ("mode", "difficulty") if name in known]
    if known.get("policy", "random") != "random":
        words.append(f"policy {known['policy']}")
    words += [f"epsilon {known['epsilon']:g}"] if known.get("epsilon") else []
    words += ["greedy"] if known.get("greedy") else []
    return ", ".join(words + (["in colour"] if known.get("pixels") == "rgb" else []))
