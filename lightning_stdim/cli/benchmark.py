"""``benchmark`` and ``report``."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Literal


def benchmark(
    *,
    games: str = "pong",
    methods: str = "majority,random-cnn,st-dim,supervised",
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
) -> int:
    """Run games x methods x seeds, then write the report.

    Every cell is a run directory OUT/<game>/<method>/seed<seed>. Finished cells are not run again,
    a failed one does not stop the others, and the same command goes on after an interruption.

    Args:
        games: names, separated by commas; all: the paper's 22.
        methods: names, separated by commas; all: every one that ships, but for pretrained-agent,
            which needs a file. Such as majority, random-cnn, st-dim, supervised, ...; the
            class of a method of yours, such as my_module.MyMethod; or a YAML file with options of
            fit, which is called by its stem.
        seeds: how many: 0, 1, ...
        preset: smoke, laptop, laptop-bf16, paper or a YAML file.
        out: the benchmark's directory; runs/<preset> by default.
        root: folder of the collections, which cells share.
        jobs: cells that run at the same time, with cores and GPUs divided between them.
        launcher: words in front of every cell's command that take it elsewhere, such as Slurm's
            srun with its options (docs/benchmark.md); with --jobs as many at a time.
        executor: local, or ray for a Ray cluster, to which --jobs cells at a time are handed.
        address: of the Ray cluster; by default the one that this machine is part of, or one of
            this machine alone.
        cpus: of a cell on Ray, and its number of threads.
        gpus: of a cell on Ray; 0.25 has four share a GPU.
        pretrain_steps: numbers of frames to pretrain on in place of the preset's, separated by
            commas; with as many optimiser steps at most.
        policies: who plays, separated by commas, as for collect; {game} in a file's name stands
            for the game. Every encoder is probed on the other policies' frames, too.
        modes: numbers of the games' modes, separated by commas, and default for the preset's.
            Every encoder is probed on the other modes' frames, too.
        probes: linear, mlp (one hidden layer on standardised features, under the paper protocol),
            or both with a comma.
        classes: that the paper protocol's probes can predict: all, observed (in training), or both
            with a comma.
        transfer: probe every encoder on the other games, too.
        estimate: say how long it will take, and what disk and memory it needs, after a short run
            of one cell of every kind in a temporary folder; run nothing else.
        mixed_label_sets: compare results of different label sets with each other, and published
            numbers, which are for the label set paper, with those of other label sets; the tables
            then say which is whose. By default the first is refused, and published numbers are
            left out.

    Returns:
        The exit status: 1 if a cell failed.
    """
    from functools import partial

    from lightning_stdim.benchmark.executors import LocalExecutor
    from lightning_stdim.benchmark.grid import Sweep, grid
    from lightning_stdim.benchmark.ray_executor import RayExecutor
    from lightning_stdim.benchmark.runner import run_cells
    from lightning_stdim.errors import ConfigurationError, StoreError

    if seeds < 1:
        raise ConfigurationError(f"seeds={seeds} must be at least 1")
    folder = Path(out or Path("runs") / Path(preset).stem)
    axes = Sweep.parse(
        pretrain_steps=pretrain_steps,
        policies=policies,
        modes=modes,
        probes=probes,
        classes=classes,
        transfer=transfer,
    )
    cells = grid(games.split(","), methods.split(","), range(seeds), axes=axes, preset=preset)
    if estimate:
        from lightning_stdim.benchmark.estimate import estimate as calibrate

        calibrate(
            cells,
            preset=preset,
            root=root,
            out=folder,
            jobs=jobs,
            elsewhere="Ray" if executor == "ray" else launcher.split(" ")[0],
            threads=max(1, round(cpus)) if executor == "ray" else None,
        ).print()
        return 0
    status = run_cells(
        cells,
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
        report(str(folder), mixed_label_sets=mixed_label_sets)
    except StoreError:
        if status == 0:  # otherwise the failed cells have been named already
            raise
    return status


def report(
    out: str, *, methods: str = "", into: str | None = None, mixed_label_sets: bool = False
) -> int:
    """Print and write what a benchmark has found so far, beside the published tables.

    Writes report.html, a page that needs no other file, report.md and report.csv, and for every
    game comparison.md, .csv and .png.

    Args:
        out: the benchmark's directory.
        methods: the methods to report on, separated by commas; all by default.
        into: another directory for the files.
        mixed_label_sets: as for benchmark.

    Returns:
        The exit status.
    """
    from lightning_stdim.report.page import write_report
    from lightning_stdim.report.runs_on_disk import read_record
    from lightning_stdim.report.write import compare_games, write_comparison

    record = read_record(out)
    if methods:
        record = record.only(methods.split(","))
    games = compare_games(record, mixed_label_sets=mixed_label_sets)
    folder = Path(into or out)
    for path in [*write_comparison(folder, games), *write_report(record, games, folder)]:
        print(path)
    return 0
