"""A benchmark's directory as the report reads it: finished runs and failed runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from lightning_stdim.datamodules.policies.settings import AGENT_SUFFIXES
from lightning_stdim.errors import ConfigurationError, StoreError
from lightning_stdim.report.names import Entry, in_order
from lightning_stdim.report.published import Agent
from lightning_stdim.runs.curves import Curves, read_curves
from lightning_stdim.runs.directory import SNAPSHOTS
from lightning_stdim.runs.key import RunKey
from lightning_stdim.runs.predictions import Predictions
from lightning_stdim.runs.results import FILE, Results, read_results
from lightning_stdim.utils.log_tail import last_words


@dataclass(frozen=True)
class Run:
    """A finished run.

    Attributes:
        folder: its directory.
        results: the content of its results file.
        with_preset: whether its entry names its preset, since it stands beside runs of others.
    """

    folder: Path
    results: Results
    with_preset: bool = False

    @cached_property
    def key(self) -> RunKey:
        """The run's identity."""
        return RunKey.of_record(self.results)

    @cached_property
    def entry(self) -> Entry:
        """The method and variant of the run, as :func:`entry_of`."""
        return entry_of(self.results, preset=self.with_preset)

    @property
    def frames(self) -> str:
        """How the probe frames differ from the protocol's, as :func:`describe_frames`."""
        return describe_frames(self.results)

    def lacks_scores(self, protocol: str) -> bool:
        """Tell whether a score is missing that the run's probes should have given.

        Args:
            protocol: a protocol by its name in the results, such as ``"converged"``.

        Returns:
            True if the F1 of a variable, of a category or a mean of them is null or NaN; False if
            none is, or if the run was not probed under this protocol.
        """
        if protocol not in self.results["scores"]["protocols"]:
            return False
        f1 = self.results["scores"]["protocols"][protocol]["f1"]
        variables, categories = f1["variables"].values(), f1["categories"].values()
        means = [f1["mean_over_variables"]] * bool(variables)
        means += [f1["mean_over_categories"]] * bool(categories)
        return None in [*variables, *categories, *means]

    def curves(self) -> Curves:
        """Read the learning curves; there are none if the run trained nothing."""
        metrics = self.folder / "metrics.csv"
        return read_curves(metrics) if metrics.is_file() else {}

    def predictions(self) -> Predictions | None:
        """Read the predictions of the run's probes; None if they were not written."""
        return Predictions.read(self.folder)


def on_the_same_frames(runs: Sequence[Run]) -> list[Run]:
    """Keep the runs that were probed on the most frequent kind of frames: others do not compare.

    Args:
        runs: runs of one game.

    Returns:
        The runs of that kind. Of equally frequent kinds it is the protocol's own, or the first by
        name.
    """
    kinds = Counter(run.frames for run in runs)
    kind = min(kinds, key=lambda kind: (-kinds[kind], kind), default="")
    return [run for run in runs if run.frames == kind]


@dataclass(frozen=True)
class Failure:
    """A run that failed and has not succeeded since.

    Attributes:
        run: its directory below the benchmark's.
        last_line: the last line that it printed.
    """

    run: str
    last_line: str


@dataclass(frozen=True)
class Record:
    """A benchmark's directory.

    Attributes:
        out: the directory.
        runs: the finished runs, ordered by path; at least one.
        failures: the failed ones, ordered by path.
        chosen: the methods that the record was narrowed to; empty if it has all of them.
    """

    out: Path
    runs: tuple[Run, ...]
    failures: tuple[Failure, ...]
    chosen: tuple[str, ...] = ()

    def only(self, methods: Sequence[str]) -> Record:
        """Keep only some methods, with all their variants.

        Args:
            methods: names of the methods, at least one.

        Returns:
            A record without the other methods' runs.

        Raises:
            ConfigurationError: a method has no finished run.
        """
        there = in_order(Entry(run.key.method) for run in self.runs)
        for name in methods:
            if Entry(name) not in there:
                raise ConfigurationError(
                    f"no run of {name!r} has finished in {self.out}; there are "
                    f"{', '.join(entry.method for entry in there)}"
                )
        runs = tuple(run for run in self.runs if run.key.method in methods)
        return replace(self, runs=_told_apart(runs), chosen=tuple(methods))

    def on_the_same_frames(self) -> Record:
        """Keep only the runs of each game whose scores compare, by the function of the same name.

        Returns:
            A record without the other runs.
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
        """Iterate over the runs of one game.

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
        The finished and the failed runs.

    Raises:
        StoreError: there is no results file, or one cannot be read.
        ConfigurationError: two of them are of the same run, with the same labels: tables would take
            them for two seeds.
    """
    out = Path(out)
    # Snapshots of a run are no runs of their own.
    paths = sorted(p for p in out.rglob(FILE) if SNAPSHOTS not in p.relative_to(out).parts)
    if not paths:
        raise StoreError(f"{out} holds no {FILE}: no run has finished there")
    runs = _told_apart([Run(path.parent, read_results(path)) for path in paths])
    _check_distinct(runs)
    return Record(out=out, runs=runs, failures=tuple(_failures(out)))


def _told_apart(runs: Sequence[Run]) -> tuple[Run, ...]:
    """Let entries name their presets if there are several: runs of two are no two seeds of one."""
    several = several_presets(run.results for run in runs)
    return tuple(replace(run, with_preset=several) for run in runs)


def _check_distinct(runs: Iterable[Run]) -> None:
    # Tables group runs by their variant in words; keys that differ beyond that would be mixed up.
    seen: dict[tuple[str, Entry, int, str], Run] = {}
    for run in runs:
        where = run.results["game"], run.entry, run.results["seed"], label_set_of(run.results)
        other = seen.setdefault(where, run)
        if other is not run:
            raise ConfigurationError(
                f"{other.folder} and {run.folder} are both of {run.key}, and would be taken for "
                "two seeds: report on the directory of one benchmark at a time, or remove one of "
                "the two; a run with other settings needs a name of its own (--method)"
            )


def _failures(out: Path) -> Iterator[Failure]:
    for path in sorted(out.rglob("seed*.error.txt")):
        folder = path.with_name(path.name.removesuffix(".error.txt"))
        if not (folder / FILE).exists():
            yield Failure(folder.relative_to(out).as_posix(), last_words(path))


def entry_of(run: Results, *, preset: bool = False) -> Entry:
    """Name the method and variant of a run.

    Args:
        run: its results.
        preset: whether the variant starts with the run's preset; see :func:`several_presets`.

    Returns:
        The method and the variant of its key.
    """
    key = RunKey.of_record(run)
    words = [preset_in_words(run)] if preset else []
    return Entry(key.method, ",".join(filter(None, (*words, key.variant))))


def preset_in_words(run: Results) -> str:
    """Name the preset of a run as a variant does.

    Args:
        run: its results.

    Returns:
        Such as ``"preset=smoke"``; ``"no preset"`` where the record names none.
    """
    return f"preset={run['preset']}" if run["preset"] else "no preset"


def several_presets(runs: Iterable[Results]) -> bool:
    """Tell whether runs are of different presets, and so are no seeds of the same thing.

    Args:
        runs: their results.

    Returns:
        True if so; a record without a preset is of another one than a record with one.
    """
    return len({run["preset"] for run in runs}) > 1


def label_set_of(run: Results) -> str:
    """Name a run's label set with its version.

    Args:
        run: its results.

    Returns:
        Such as ``"paper 1"``.
    """
    return f"{run['scores']['label_set']} {run['scores'].get('label_set_version', 1)}"


def collected_by(run: Results) -> Agent:
    """Tell which of the paper's two agents compares with the one that collected a run's frames.

    Args:
        run: its results.

    Returns:
        ``"ppo"`` if an agent's file played while the probe frames were collected, else
        ``"random"``.
    """
    known = run["scores"].get("provenance", {}).get("collection", {})
    return "ppo" if str(known.get("policy", "")).endswith(AGENT_SUFFIXES) else "random"


def describe_frames(run: Results) -> str:
    """Say how a run's probe frames differ from the protocol's.

    Args:
        run: its results.

    Returns:
        Words such as ``"mode 12"`` or ``"policy ppo.zip, in colour"``; empty if they do not. Runs
        of one game and seed with the same words were probed on the same frames.
    """
    known = run["scores"].get("provenance", {}).get("collection", {})
    named = ("mode", "difficulty", "environment")
    words = [f"{name} {known[name]}" for name in named if name in known]
    if known.get("policy", "random") != "random":
        words.append(f"policy {known['policy']}")
    words += [f"epsilon {known['epsilon']:g}"] if known.get("epsilon") else []
    words += ["greedy"] if known.get("greedy") else []
    return ", ".join(words + (["in colour"] if known.get("pixels") == "rgb" else []))
