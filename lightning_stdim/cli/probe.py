"""``probe``."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from lightning_stdim.datamodules.labels.games import LabelSet
from lightning_stdim.datamodules.pixels import Pixels


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
    command_line: str = "",
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
        workers: number of processes that collect; by default one for every core that may be used.
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
        command_line: what this was called with, for the record.

    Returns:
        The exit status.
    """
    import re
    import time

    from lightning_stdim.cli.console import print_scores
    from lightning_stdim.errors import ConfigurationError
    from lightning_stdim.presets import read_preset
    from lightning_stdim.runs.directory import CHECKPOINTS, run_directory
    from lightning_stdim.runs.environment import environment
    from lightning_stdim.runs.predictions import Predictions
    from lightning_stdim.runs.results import FILE, write_results
    from lightning_stdim.utils.files import make_directory

    budget = read_preset(preset)

    import torch

    from lightning_stdim.datamodules.atari import AtariDataModule
    from lightning_stdim.encoders import resolve_encoder
    from lightning_stdim.encoders.pretrained import load_encoder
    from lightning_stdim.probes import (
        ConvergedSettings,
        PaperSettings,
        check_protocols,
        evaluate_encoder,
        majority,
    )
    from lightning_stdim.utils.hardware import check_device

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
            "command": command_line,
            "environment": environment(),
        },
    )
    print(f"results: {path}")
    return 0
