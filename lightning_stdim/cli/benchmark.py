"""``benchmark`` and ``report``."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Literal

from lightning_stdim.catalogue import DEFAULT_COMPARISON


def benchmark(
    *,
    games: str = "pong",
    methods: str = ",".join(DEFAULT_COMPARISON),
    seeds: int = 1,
    preset: str = "laptop",
    out: str | None = None,
    root: str = "data",
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
    estimate: bool = False,
    mixed_label_sets: bool = False,
    paper_agent: Literal["random", "ppo"] | None = None,
) -> int:
    """Run games x methods x seeds, then write the report.

    Every run has a directory, OUT/<game>/<method>/seed<seed>. Finished runs are not repeated, one
    that fails does not stop the others, and the same command goes on after an interruption.

    Args:
        games: names, separated by commas; all: the paper's 22.
        methods: names, separated by commas, such as majority, random-cnn, st-dim or supervised;
            all: every method that ships, except pretrained-agent, which needs a file. A method of
            yours is named by its class, such as my_module.MyMethod, or by a YAML file with options
            of fit, and is then called by the file's stem.
        seeds: how many random seeds; they are 0, 1, ...
        preset: smoke, laptop, laptop-bf16, paper or a YAML file.
        out: the benchmark's directory; runs/<preset> by default.
        root: folder of the collections, which the runs share.
        jobs: how many runs at the same time, with cores and GPUs divided between them.
        launcher: a command that every run's command is appended to and that takes it elsewhere,
            such as Slurm's srun with its options (docs/benchmark.md); it is called for --jobs runs
            at a time.
        executor: local, or ray for a Ray cluster, which is handed --jobs runs at a time.
        address: address of the Ray cluster; by default the one that this machine is part of, or a
            new one of this machine alone.
        cpus: CPUs, and threads, of a run on Ray.
        gpus: GPUs of a run on Ray; with 0.25, four runs share one.
        pretrain_steps: numbers of frames to pretrain on in place of the preset's, separated by
            commas; the optimiser takes at most as many steps as with the preset's.
        policies: who plays, separated by commas, as for collect; {game} in a file's name stands
            for the game. Every encoder is probed on the other policies' frames, too.
        modes: numbers of the games' modes, separated by commas, and default for the preset's.
            Every encoder is probed on the other modes' frames, too.
        probes: linear, mlp (one hidden layer on standardised features, under the paper protocol),
            or both, separated by a comma.
        classes: which classes the paper protocol's probes can predict; all, observed (those that
            occur in training), or both, separated by a comma.
        transfer: probe every encoder on the other games, too.
        estimate: run nothing, but say how long it would take, and what disk and memory it would
            need, after a short run of one run of every kind in a temporary folder.
        mixed_label_sets: compare results of different label sets with each other, and published
            numbers, which are for the label set paper, with those of other label sets; the tables
            then say which number is of which label set. By default the first is refused, and
            published numbers are left out.
        paper_agent: which of the paper's tables ours are compared with; random or ppo, the agent
            that collected the frames. By default ppo where an agent's file played, and random
            elsewhere.

    Returns:
        The exit status: 1 if a run failed.
    """
    from functools import partial

    from lightning_stdim.benchmark.executors import LocalExecutor
    from lightning_stdim.benchmark.grid import Sweep, grid
    from lightning_stdim.benchmark.ray_executor import RayExecutor
    from lightning_stdim.benchmark.runner import run_grid
    from lightning_stdim.errors import ConfigurationError, StoreError
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
        comma_separated(games), comma_separated(methods), range(seeds), sweep=sweep, preset=preset
    )
    if estimate:
        from lightning_stdim.benchmark.estimate import estimate as calibrate

        calibrate(
            specs,
            preset=preset,
            root=root,
            out=folder,
            jobs=jobs,
            elsewhere="Ray" if executor == "ray" else launcher.split(" ")[0],
            threads=max(1, round(cpus)) if executor == "ray" else None,
        ).print()
        return 0
    status = run_grid(
        specs,
        preset=preset,
        out=folder,
        root=root,
        jobs=jobs,
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
    out: str,
    *,
    methods: str = "",
    into: str | None = None,
    mixed_label_sets: bool = False,
    paper_agent: Literal["random", "ppo"] | None = None,
) -> int:
    """Print and write what a benchmark has found so far, beside the published tables.

    Writes report.html, a page that needs no other file, report.md and report.csv, and for every
    game comparison.md, .csv and .png.

    Args:
        out: the benchmark's directory.
        methods: the methods to report on, separated by commas; all by default.
        into: another directory for the files; the benchmark's by default.
        mixed_label_sets: as for benchmark.
        paper_agent: as for benchmark.

    Returns:
        The exit status.
    """
    from lightning_stdim.report.page import write_report
    from lightning_stdim.report.runs_on_disk import read_record
    from lightning_stdim.report.write import compare_games, write_comparison
    from lightning_stdim.utils.comma_separated import comma_separated

    record = read_record(out)
    if methods:
        record = record.only(comma_separated(methods))
    games = compare_games(record, mixed_label_sets=mixed_label_sets, paper_agent=paper_agent)
    folder = Path(into or out)
    for path in [*write_comparison(folder, games), *write_report(record, games, folder)]:
        print(path)
    return 0
