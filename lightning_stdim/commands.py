"""The commands without a model.

Their signatures are their command lines; jsonargparse makes the options and ``--help`` of them.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from inspect import signature
from pathlib import Path
from typing import Any, Literal

from jsonargparse import ArgumentParser, auto_cli

LabelSet = Literal["paper", "upstream"]
Pixels = Literal["luma", "rgb"]


def collect(
    *,
    game: str = "pong",
    steps: int = 100_000,
    seed: int = 0,
    workers: int | None = None,
    root: str = "data",
    policy: str = "random",
    epsilon: float = 0.0,
    greedy: bool = False,
    pixels: Pixels = "luma",
    mode: int | None = None,
    difficulty: int | None = None,
    label_set: LabelSet | None = None,
) -> int:
    """Play a game and store frames, RAM and labels in one HDF5 file.

    Interrupted, it goes on where it stopped when it is run again; finished, it says so.

    Args:
        game: any spelling, such as pong, MsPacman or ALE/Pong-v5.
        steps: frames to collect.
        seed: the file depends on it and the settings alone.
        workers: processes; all cores by default. They do not change the file.
        root: folder of the file.
        policy: who plays: random (the protocol's), sticky-random, the file of an agent (a
            Stable-Baselines3 .zip, or .pt, .pth or .safetensors of a Nature actor) or
            module:callable.
        epsilon: probability that an action is replaced by a uniform one; the protocol's PPO agent
            has 0.2.
        greedy: an agent's most probable action instead of a drawn one.
        pixels: of the frames: luma, the protocol's grey, or rgb.
        mode: number of the game's mode; by default the emulator's own choice, the protocol's.
        difficulty: the same of its difficulty.
        label_set: of the stored labels; by default the paper's, if it has the game.

    Returns:
        The exit status.
    """
    import os
    import sys
    import time

    from lightning_stdim.datamodules.collect import collect as run_collection

    started = time.time()
    path = run_collection(
        game,
        steps=steps,
        seed=seed,
        workers=(os.cpu_count() or 1) if workers is None else workers,
        root=root,
        policy=policy,
        epsilon=epsilon,
        greedy=greedy,
        pixels=pixels,
        mode=mode,
        difficulty=difficulty,
        label_set=label_set,
    )
    if path.stat().st_mtime < started:
        print("this collection is there already:", file=sys.stderr)
    print(path)
    return 0


def describe(files: list[str], *, label_set: LabelSet | None = None, out: str | None = None) -> int:
    """Print what files of collected frames hold, side by side.

    Args:
        files: that `collect` wrote.
        label_set: which labels to describe; by default those that the file has.
        out: folder for describe.json, and for frames with their labels, contact-sheet.png
            (contact-sheet-1.png, -2, ... in the order of several files).

    Returns:
        The exit status.
    """
    import dataclasses
    import json

    from lightning_stdim.datamodules import store
    from lightning_stdim.datamodules.describe import Description
    from lightning_stdim.datamodules.describe import describe as compute
    from lightning_stdim.files import atomically
    from lightning_stdim.terminal import print_descriptions

    def one(file: str, sheet: Path | None) -> Description:
        collection = store.read(file)
        if sheet:
            from lightning_stdim.datamodules.contact_sheet import png

            picture = png(collection, name=Path(file).name, label_set=label_set)
            with atomically(sheet) as temporary:
                temporary.write_bytes(picture)
        return compute(collection, label_set=label_set)

    for file in files:  # before any work is done
        store.check(Path(file), verify=False)
    folder = Path(out) if out else None
    suffixes = [f"-{k}" for k in range(1, len(files) + 1)] if len(files) > 1 else [""]
    # A collection is released before the next one is read.
    described = [
        one(file, folder and folder / f"contact-sheet{suffix}.png")
        for file, suffix in zip(files, suffixes, strict=True)
    ]
    print_descriptions([Path(file).stem for file in files], described)
    if folder:
        data = [
            {"file": file, **dataclasses.asdict(part)}
            for file, part in zip(files, described, strict=True)
        ]
        with atomically(folder / "describe.json") as temporary:
            temporary.write_text(json.dumps(data, indent=1) + "\n")
        print(folder)
    return 0


def export(file: str, *, format: Literal["minari", "npz", "parquet"], out: str) -> int:
    """Write a file of collected frames in another format, every value as it is.

    Args:
        file: that `collect` wrote.
        format: minari, a dataset with frames, actions, rewards, RAM and labels by episode; npz,
            every array of the file; or parquet, a row a step with RAM and labels but no frames.
        out: the file to write; for minari a folder.

    Returns:
        The exit status.
    """
    from lightning_stdim.datamodules.export import export as write

    write(Path(file), format=format, out=Path(out))
    print(out)
    return 0


def probe(
    *,
    encoder: str,
    game: str = "pong",
    steps: int | None = None,
    seed: int = 0,
    root: str = "data",
    workers: int | None = None,
    policy: str | None = None,
    epsilon: float | None = None,
    greedy: bool | None = None,
    pixels: Pixels | None = None,
    mode: int | None = None,
    difficulty: int | None = None,
    label_set: LabelSet | None = None,
    controls: bool = True,
    preset: str = "laptop",
    hidden: int | None = None,
    standardize: bool | None = None,
    classes: Literal["all", "observed"] | None = None,
    protocols: str = "paper,converged",
    device: str | None = None,
    method: str | None = None,
    variant: str = "",
    out: str | None = None,
) -> int:
    """Score an encoder on a game, with both probe protocols.

    Args:
        encoder: a checkpoint; 'random' for the encoder at its initialisation; 'majority' for the
            most frequent label; or module:callable that returns a torch.nn.Module which takes
            uint8 [B, 1, 210, 160] (3 channels with --pixels rgb) and returns [B, D]. Modules are
            looked up in the current folder first.
        game: any spelling, such as pong, MsPacman or ALE/Pong-v5.
        steps: frames to probe on; the preset's by default.
        seed: of the frames, the splits and the probes.
        root: folder of the collections.
        workers: processes that collect; all cores by default.
        policy: who plays, as for collect; the preset's by default.
        epsilon: share of actions replaced by uniform ones; the preset's by default.
        greedy: an agent's most probable action instead of a drawn one; the preset's by default.
        pixels: of the frames, luma or rgb; by default a checkpoint's, else the preset's.
        mode: of the game, a number; the preset's by default.
        difficulty: of the game, a number; the preset's by default.
        label_set: which labels to score; the preset's by default.
        controls: also probe with shuffled labels; two fifths of the converged protocol's time.
        preset: smoke, laptop, laptop-bf16, paper or a YAML file: data and probe settings.
        hidden: units of a hidden layer in the paper protocol's probes; the preset's by default,
            which is none.
        standardize: shift and scale the features for the paper protocol's probes; the preset's by
            default, which is false.
        classes: that the paper protocol's probes can predict: all, or those observed in training;
            the preset's by default, which is all.
        protocols: of the probes, separated by commas: paper, converged.
        device: where to compute; a GPU if there is one by default.
        method: name recorded in the results; by default the encoder's.
        variant: what differs from the preset, recorded in the results; by default in what the
            frames differ from the protocol's.
        out: folder for results.json; by default runs/<game>-probe-<encoder>-seed<seed>.

    Returns:
        The exit status.
    """
    import re
    import time

    from lightning_stdim.benchmark.environment import environment
    from lightning_stdim.benchmark.results import FILE, write_results
    from lightning_stdim.errors import ConfigurationError
    from lightning_stdim.files import make_directory
    from lightning_stdim.predictions import Predictions
    from lightning_stdim.presets import read_preset
    from lightning_stdim.runs import CHECKPOINTS, run_directory
    from lightning_stdim.terminal import print_scores

    budget = read_preset(preset)

    import torch

    from lightning_stdim.checkpoints import load_encoder
    from lightning_stdim.datamodules.atari import AtariDataModule
    from lightning_stdim.devices import check_device
    from lightning_stdim.encoders import resolve_encoder
    from lightning_stdim.probes import (
        ConvergedSettings,
        PaperSettings,
        check_protocols,
        evaluate_encoder,
        majority,
    )

    wanted = check_protocols(protocols.split(","))

    module = None
    if encoder not in ("random", "majority") and Path(encoder).exists():
        module = load_encoder(encoder)
        trained_on: Any = module.pixels
        if pixels not in (None, trained_on):
            raise ConfigurationError(
                f"{encoder} was trained on {trained_on} frames, not {pixels}: leave out --pixels"
            )
        pixels = trained_on
    given = {
        "game": game,
        "probe_steps": steps,
        "seed": seed,
        "root": root,
        "workers": workers,
        "policy": policy,
        "epsilon": epsilon,
        "greedy": greedy,
        "pixels": pixels,
        "mode": mode,
        "difficulty": difficulty,
        "label_set": label_set,
        "stage": "probe",
    }
    try:
        probes = {"hidden": hidden, "standardize": standardize, "classes": classes}
        changed = {name: value for name, value in probes.items() if value is not None}
        settings = PaperSettings(**{**budget.get("paper", {}), **changed})
        strengths = budget.get("converged", {}).get("strengths", ConvergedSettings.strengths)
        converged = ConvergedSettings(
            **{**budget.get("converged", {}), "strengths": tuple(strengths)}
        )
        data = AtariDataModule(
            **{**budget.get("data", {}), **{k: v for k, v in given.items() if v is not None}}
        )
    except TypeError as error:
        raise ConfigurationError(f"preset {preset}: {error}") from error
    there = device or ("cuda" if torch.cuda.is_available() else "cpu")
    check_device(there)
    if module is None and encoder != "majority":
        module = resolve_encoder(encoder, seed=seed, pixels=data.pixels)
    # A run's own name says more than best.ckpt.
    path = Path(encoder)
    named = path.parent.parent.name if path.parent.name == CHECKPOINTS else path.stem
    name = re.sub(r"[^A-Za-z0-9_.-]+", "-", named)
    folder = Path(out) if out else run_directory(Path(f"runs/{data.game}-probe-{name}-seed{seed}"))
    make_directory(folder)
    if (folder / FILE).exists():
        raise ConfigurationError(f"{folder} holds results already; choose another --out")
    started = time.monotonic()
    labelled = data.probe_data()
    if module is None:
        scores = majority(labelled)
    else:
        predictions: dict[str, torch.Tensor] = {}
        scores = evaluate_encoder(
            module,
            labelled,
            protocols=wanted,
            seed=seed,
            paper=settings,
            converged=converged,
            controls=controls,
            device=there,
            predictions=predictions,
        )
        Predictions.of(labelled, predictions).write(folder)
    print_scores(scores)
    path = write_results(
        folder,
        {
            "game": data.game,
            "method": method or {"random": "random-cnn"}.get(encoder, name),
            "preset": budget.get("preset"),
            "variant": variant or data.variation,
            "seed": seed,
            "scores": scores,
            "budget": {
                # Of an encoder that was trained elsewhere nothing is known here.
                "pretrain_frames": 0 if encoder in ("random", "majority") else None,
                "probe_frames": data.probe_steps,
                "epochs": 0 if encoder in ("random", "majority") else None,
                "optimizer_steps": 0 if encoder in ("random", "majority") else None,
                "seconds": round(time.monotonic() - started, 1),
            },
            "command": f"python -m lightning_stdim probe {shlex.join(_OPTIONS)}",
            "environment": environment(),
        },
    )
    print(f"results: {path}")
    return 0


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
        estimate: say how long it will take, and what disk and memory it needs, after a minute of
            calibration; run nothing.
        mixed_label_sets: compare results of different label sets with each other, and published
            numbers, which are for the label set paper, with those of other label sets; the tables
            then say which is whose. By default the first is refused, and published numbers are
            left out.

    Returns:
        The exit status: 1 if a cell failed.
    """
    from functools import partial

    from lightning_stdim.benchmark.executors import LocalExecutor
    from lightning_stdim.benchmark.grid import Axes, grid
    from lightning_stdim.benchmark.ray_executor import RayExecutor
    from lightning_stdim.benchmark.runner import run_cells
    from lightning_stdim.errors import ConfigurationError, StoreError

    if seeds < 1:
        raise ConfigurationError(f"seeds={seeds} must be at least 1")
    folder = Path(out or Path("runs") / Path(preset).stem)
    axes = Axes.parse(
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

        calibrate(cells, preset=preset, root=root, out=folder, jobs=jobs).print()
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
    from lightning_stdim.benchmark.record import read_record
    from lightning_stdim.benchmark.report.comparison import compare_games, write_comparison
    from lightning_stdim.benchmark.report.page import write_report

    record = read_record(out)
    if methods:
        record = record.only(methods.split(","))
    games = compare_games(record, mixed_label_sets=mixed_label_sets)
    folder = Path(into or out)
    for path in [*write_comparison(folder, games), *write_report(record, games, folder)]:
        print(path)
    return 0


def train_policy(
    *,
    game: str = "pong",
    steps: int = 1_000_000,
    seed: int = 0,
    out: str | None = None,
    device: str = "auto",
    precision: Literal["32", "bf16-mixed"] = "32",
) -> int:
    """Train a PPO agent with Stable-Baselines3, for `collect --policy`.

    Interrupted, it goes on from its last checkpoint when it is run again; with more steps, too.

    Args:
        game: any spelling, such as pong, MsPacman or ALE/Pong-v5.
        steps: the agent's steps in all, four emulator frames each.
        seed: of the games and the initialisation.
        out: the run's directory; by default runs/<game>-ppo-seed<seed>.
        device: where to compute; a GPU if there is one by default.
        precision: of the convolutions; bf16-mixed is nearly twice as fast on CPUs that have it.

    Returns:
        The exit status.
    """
    from lightning_stdim.benchmark.environment import environment
    from lightning_stdim.datamodules.labels import canonical_game
    from lightning_stdim.ppo import read_record, train_ppo

    game = canonical_game(game)
    path = train_ppo(
        game,
        steps=steps,
        seed=seed,
        out=out or f"runs/{game}-ppo-seed{seed}",
        device=device,
        precision=precision,
        provenance={
            "command": f"python -m lightning_stdim train-policy {shlex.join(_OPTIONS)}",
            "environment": environment(),
        },
    )
    last = read_record(path)["curve"][-1]
    mean = last["mean_return"]
    outcome = "none finished yet" if mean is None else f"mean return of the last 100: {mean:.2f}"
    print(f"{last['steps']} steps, {last['games']} games, {outcome}")
    print(path)
    return 0


_OPTIONS: list[str] = []
"""The options of the running command, for its results file."""

COMMANDS: dict[str, Callable[..., int]] = {
    "collect": collect,
    "describe": describe,
    "export": export,
    "probe": probe,
    "benchmark": benchmark,
    "report": report,
    "train-policy": train_policy,
}


def run(command: str, options: Sequence[str]) -> int:
    """Run a command.

    Args:
        command: its name.
        options: its command-line options.

    Returns:
        The exit status.
    """
    _OPTIONS[:] = options
    prog = f"python -m lightning_stdim {command}"
    if command == "describe":
        return describe(**_describe_arguments(options, prog))
    chosen = COMMANDS[command]
    words = _with_values(options, chosen)
    status: Any = auto_cli(chosen, args=words, prog=prog, exit_on_error=False)
    return int(status)


def _with_values(options: Sequence[str], command: Callable[..., int]) -> list[str]:
    """Give a switch that stands alone, such as --estimate, the value that auto_cli wants."""
    parameters = signature(command).parameters.values()
    switches = {f"--{p.name}" for p in parameters if isinstance(p.default, bool)}
    words = []
    for word, following in zip(options, [*options[1:], "--"], strict=True):
        words += [word, "true"] if word in switches and following.startswith("-") else [word]
    return words


def _describe_arguments(options: Sequence[str], prog: str) -> dict[str, Any]:
    """Parse FILE [FILE ...], which auto_cli cannot take from a signature."""
    what = (describe.__doc__ or "").partition("\n")[0]
    parser = ArgumentParser(prog=prog, description=what, exit_on_error=False)
    parser.add_argument("files", nargs="+", metavar="FILE", help="that `collect` wrote")
    parser.add_function_arguments(describe, skip={"files"})
    arguments: dict[str, Any] = parser.parse_args(list(options)).as_dict()
    return arguments
