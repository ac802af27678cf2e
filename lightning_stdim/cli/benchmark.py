"""The commands ``benchmark`` and ``report``."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from lightning_stdim.catalogue import DEFAULT_COMPARISON

if TYPE_CHECKING:
    from lightning_stdim.benchmark.run_spec import RunSpec


def benchmark(
    *,
    games: str = "pong",
    methods: str = ",".join(DEFAULT_COMPARISON),
    seeds: int = 1,
    preset: str = "laptop",
    out: str | None = None,
    root: str = "data",
    snapshots: str = "",
    jobs: int = 1,
    launcher: str = "",
    executor: Literal["local", "ray"] = "local",
    address: str | None = None,
    cpus: float = 1.0,
    gpus: float = 0.0,
    pretrain_steps: str = "",
    policies: str = "",
    modes: str = "",
    probes: str = "linear",
    classes: str = "all",
    transfer: bool = False,
    protocols: str = "",
    estimate: bool = False,
    mixed_label_sets: bool = False,
    paper_agent: Literal["random", "ppo"] | None = None,
) -> int:
    """Run every game with every method and seed, then write the report.

    Every run has a directory, OUT/<game>/<method>/seed<seed>. Finished runs are not repeated, a
    run that fails does not stop the others, and the same command goes on after an interruption.

    Args:
        games: names of the games, separated by commas; all stands for the paper's 22.
        methods: names of the methods, separated by commas, such as majority, random-cnn, st-dim or
            supervised; all stands for every method that ships, except pretrained-agent, which needs
            a file. A method of your own is given by its class, such as my_module.MyMethod, or by a
            YAML file with options of fit; it is then called by the file's stem.
        seeds: number of random seeds; they are 0, 1, ...
        preset: name of a preset (smoke, laptop, laptop-bf16, paper, challenge or challenge-bf16) or
            a YAML file, with the settings of the data, the training and the probes.
        out: the benchmark's directory; by default runs/<preset>.
        root: folder of the collections, which the runs share.
        snapshots: as for fit: numbers of optimiser steps after which every run that trains keeps
            its weights, separated by commas. Finished runs are not repeated for them.
        jobs: number of runs at the same time; cores and GPUs are divided between them.
        launcher: a command that takes a run elsewhere, such as Slurm's srun with its options; it is
            put in front of every run's command (docs/benchmark.md), for --jobs runs at a time.
        executor: where runs are executed: local for this machine, or ray for a Ray cluster, which
            is given --jobs runs at a time.
        address: address of the Ray cluster, as HOST:PORT; by default the cluster that this machine
            is part of, or a new one of this machine alone.
        cpus: number of CPUs, and of threads, for each run on Ray.
        gpus: number of GPUs for each run on Ray; with 0.25, four runs share one.
        pretrain_steps: numbers of frames to pretrain on instead of the preset's, separated by
            commas; the optimiser takes at most as many steps as with the preset's.
        policies: who plays, as for collect, separated by commas; {game} in a file's name stands
            for the game. Every encoder is also probed on the other policies' frames.
        modes: numbers of game modes, separated by commas; default stands for the preset's mode.
            Every encoder is also probed on the other modes' frames.
        probes: kinds of probes: linear, mlp (one hidden layer on standardised features, under the
            paper protocol), or both, separated by a comma.
        classes: classes that the paper protocol's probes can predict: all, observed (those that
            occur in training), or both, separated by a comma.
        transfer: also probe every encoder on the other games.
        protocols: names of the probe protocols of all runs, separated by commas: paper, converged,
            and challenge, the challenge report's; by default the preset's, or else the first
            two.
        estimate: only say how long the benchmark would take, and what disk and memory it would
            need. For this, one run of every kind is made with few frames in a temporary folder.
        mixed_label_sets: let tables mix label sets: results for different ones, and published
            numbers, which are for the label set paper, beside results for another. The tables then
            say which label set a number is for. By default mixed results are refused, and published
            numbers are left out beside results for another label set.
        paper_agent: agent whose frames the paper's numbers in the tables are for: random or ppo. By
            default ppo beside results on frames that an agent's file collected, and random beside
            others.

    Returns:
        The exit status: 1 if a run failed.
    """
    from functools import partial

    from lightning_stdim.benchmark.check import check_runs
    from lightning_stdim.benchmark.executors import LocalExecutor
    from lightning_stdim.benchmark.grid import Sweep, grid
    from lightning_stdim.benchmark.ray_executor import RayExecutor
    from lightning_stdim.benchmark.runner import run_grid
    from lightning_stdim.errors import ConfigurationError, StoreError
    from lightning_stdim.runs.results import is_complete
    from lightning_stdim.utils.comma_separated import comma_separated

    if seeds < 1:
        raise ConfigurationError(f"seeds={seeds} must be at least 1")
    folder = Path(out or Path("runs") / Path(preset).stem)
    sweep = Sweep.parse(
        pretrain_steps=pretrain_steps,
        policies=policies,
        modes=modes,
        probes=probes,
        classes=classes,
        transfer=transfer,
    )
    specs = grid(
        comma_separated(games),
        comma_separated(methods),
        range(seeds),
        sweep=sweep,
        preset=preset,
        protocols=protocols,
    )
    elsewhere = "Ray" if executor == "ray" else launcher.split(" ")[0]

    def check(specs: Sequence[RunSpec]) -> None:
        wrong = check_runs(specs, preset=preset, root=root)
        if wrong and elsewhere and not estimate:
            head = f"warning: these would fail here; {elsewhere} may have what is missing:"
            print("\n  ".join([head, *wrong]), file=sys.stderr)
        elif wrong:
            head = "nothing was started, since these would fail:"
            raise ConfigurationError("\n  ".join([head, *wrong]))

    if estimate:
        check([spec for spec in specs if not is_complete(spec.folder(folder))])
        from lightning_stdim.benchmark.estimate import estimate as calibrate

        calibrate(
            specs,
            preset=preset,
            root=root,
            out=folder,
            jobs=jobs,
            elsewhere=elsewhere,
            threads=max(1, int(cpus)) if executor == "ray" else None,
        ).print()
        return 0
    status = run_grid(
        specs,
        preset=preset,
        out=folder,
        root=root,
        snapshots=snapshots,
        jobs=jobs,
        check=check,
        executor=partial(RayExecutor, address=address, cpus=cpus, gpus=gpus)
        if executor == "ray"
        else partial(LocalExecutor, launcher=shlex.split(launcher)),
    )
    if status == 130:
        return status
    try:
        report(str(folder), mixed_label_sets=mixed_label_sets, paper_agent=paper_agent)
    except StoreError:
        if status == 0:  # otherwise the failed runs have been named already
            raise
    return status


def report(
    runs: str,
    *,
    methods: str = "",
    out: str | None = None,
    tables: bool = False,
    mixed_label_sets: bool = False,
    paper_agent: Literal["random", "ppo"] | None = None,
) -> int:
    """Compare the finished runs of a benchmark with each other and with published results.

    Writes report.html (a page that needs no other file), report.md and report.csv, and in every
    game's folder comparison.md, .csv and .png. Prints which methods are ahead, the runs that failed
    and the page's path.

    Example:
        python -m lightning_stdim report runs/laptop

    Args:
        runs: the benchmark's directory.
        methods: names of the methods to report on, separated by commas; by default all.
        out: directory for the files; by default the benchmark's. --into is the same.
        tables: also print the comparison of every game.
        mixed_label_sets: as for benchmark; see benchmark --help.
        paper_agent: as for benchmark; see benchmark --help.

    Returns:
        The exit status.
    """
    from lightning_stdim.report.content.summary import summarise
    from lightning_stdim.report.page import write_report
    from lightning_stdim.report.runs_on_disk import read_record
    from lightning_stdim.report.write import compare_games, print_comparison, write_comparison
    from lightning_stdim.utils.comma_separated import comma_separated

    record = read_record(runs)
    if methods:
        record = record.only(comma_separated(methods))
    games = compare_games(record, mixed_label_sets=mixed_label_sets, paper_agent=paper_agent)
    folder = Path(out or runs)
    summary = summarise(record, games)
    page, *_ = write_report(record, games, folder, summary=summary)
    write_comparison(folder, games)
    if tables:
        print_comparison(games)
    for words in (*filter(None, [summary.warning]), *summary.paragraphs, *summary.verdicts):
        print(words)
    for failure in record.failures:
        print(f"{failure.run} failed: {failure.last_line}")
    print(f"report: {page}")
    return 0
