"""The command ``probe``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from lightning_stdim.datamodules.collection.settings import CollectionSettings
from lightning_stdim.datamodules.emulator.environments import Environment
from lightning_stdim.datamodules.labels.games import LabelSet
from lightning_stdim.datamodules.pixels import Pixels
from lightning_stdim.utils.shared_docs import arguments_as_in

if TYPE_CHECKING:
    from lightning_stdim.runs.results import Budget


@arguments_as_in(CollectionSettings)
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
    environment: Environment | None = None,
    label_set: LabelSet | None = None,
    controls: bool = True,
    preset: str = "laptop",
    hidden: int | None = None,
    standardize: bool | None = None,
    classes: Literal["all", "observed"] | None = None,
    protocols: str | None = None,
    device: str | None = None,
    method_name: str | None = None,
    variant: str = "",
    run_key: str | None = None,
    out: str | None = None,
    command_line: str = "",
) -> int:
    """Score an encoder on a game with linear probes.

    Whatever is not given here is taken from the preset.

    Example:
        python -m lightning_stdim probe --encoder random --game breakout

    Args:
        encoder: what to score: the directory of a run of fit; a checkpoint; random for an encoder
            at its initialisation; majority for always predicting the most frequent label; or
            my_module.MyEncoder for a class or function of your own that returns a torch.nn.Module.
            That module maps uint8 frames [B, 1, 210, 160] ([B, 3, 210, 160] with --pixels rgb) to
            vectors [B, D]. Your code is looked up in the current folder first.
        game: as in CollectionSettings.
        steps: number of frames to probe on; by default the preset's.
        seed: random seed of the frames, the data splits and the probes.
        root: folder of the collections.
        workers: number of processes that collect; by default one for every core that may be used.
        policy: as in CollectionSettings.
        epsilon: as in CollectionSettings.
        greedy: as in CollectionSettings.
        pixels: kind of frames, luma or rgb; by default those that a checkpoint was trained on, else
            the preset's.
        mode: as in CollectionSettings.
        difficulty: as in CollectionSettings.
        environment: as in CollectionSettings.
        label_set: labels to score, paper or upstream; by default the preset's.
        controls: also train probes on shuffled labels, as a control; this takes two fifths of the
            converged protocol's time.
        preset: name of a preset (smoke, laptop, laptop-bf16, paper, challenge or challenge-bf16) or
            a YAML file, with the settings of the data and the probes.
        hidden: number of units of a hidden layer in the paper protocol's probes, 0 for linear
            probes; by default the preset's.
        standardize: shift and scale the features for the paper protocol's probes; by default the
            preset's.
        classes: classes that the paper protocol's probes can predict: all, or those observed in
            training; by default the preset's.
        protocols: names of the probe protocols, separated by commas: paper, converged, and
            challenge, the challenge report's; by default the preset's, or else the first two.
        device: where to compute, such as cpu or cuda:1; by default a GPU if there is one.
        method_name: what the encoder's method is called in results and tables; by default its own
            name.
        variant: your own words for what differs from the preset, stored with the results and shown
            in tables; by default, how the frames differ from the protocol's.
        run_key: what differs from the preset, as JSON. The command benchmark sets it for its runs;
            you need not set it.
        out: directory for the results, which has to be new or empty; by default
            runs/<game>-probe-<encoder>-seed<seed>, with a number appended if that is taken.
        command_line: the command line of this call, for the record.

    Returns:
        The exit status.
    """
    import time
    from dataclasses import replace

    from lightning_stdim.cli.console import print_scores
    from lightning_stdim.errors import ConfigurationError
    from lightning_stdim.presets import preset_name, read_preset
    from lightning_stdim.runs.directory import claim_run
    from lightning_stdim.runs.naming import (
        UNTRAINED,
        make_probe_key,
        probe_folder,
        probe_options,
    )
    from lightning_stdim.runs.trial import try_encoder

    settings = read_preset(preset)

    import torch

    from lightning_stdim.datamodules.atari import AtariDataModule
    from lightning_stdim.encoders import resolve_encoder
    from lightning_stdim.encoders.pretrained import load_encoder
    from lightning_stdim.probes import (
        USUAL_PROTOCOLS,
        ChallengeSettings,
        ConvergedSettings,
        PaperSettings,
        check_protocols,
    )
    from lightning_stdim.runs.finish import evaluate, write_record
    from lightning_stdim.runs.processes import become_rank_zero
    from lightning_stdim.utils.hardware import check_device

    become_rank_zero()
    wanted = check_protocols(protocols or settings.get("protocols", USUAL_PROTOCOLS))
    module = None
    if encoder not in UNTRAINED and Path(encoder).exists():
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
        "environment": environment,
        "label_set": label_set,
        "stage": "probe",
    }
    probes = {"hidden": hidden, "standardize": standardize, "classes": classes}
    try:
        usual = PaperSettings(**settings.get("paper", {}))
        paper = replace(usual, **_said(probes))
        chosen = settings.get("converged", {})
        strengths = tuple(chosen.get("strengths", ConvergedSettings.strengths))
        converged = ConvergedSettings(**chosen | {"strengths": strengths})
        challenge = ChallengeSettings(**settings.get("challenge", {}))
        data = AtariDataModule(**settings.get("data", {}) | _said(given))
    except TypeError as error:
        raise ConfigurationError(f"preset {preset}: {error}") from error
    there = device or ("cuda" if torch.cuda.is_available() else "cpu")
    check_device(there)
    if module is None and encoder != "majority":
        module = resolve_encoder(encoder, seed=seed, pixels=data.pixels)
    if module is not None:
        try_encoder(module, data.pixels)  # before frames are collected and a folder is made
    key = make_probe_key(
        encoder,
        game=data.game,
        seed=seed,
        method=method_name,
        run_key=run_key,
        variant=variant,
        variation=data.variation,
        probes=probe_options(paper, usual),
    )
    place = Path(out or Path("runs") / probe_folder(key))
    with claim_run(place, number=out is None) as folder:
        started = time.monotonic()
        labelled = data.probe_data()
        evaluation = evaluate(
            module,
            labelled,
            protocols=wanted,
            seed=seed,
            paper=paper,
            converged=converged,
            challenge=challenge,
            controls=controls,
            device=there,
        )
        # Of an encoder that was trained elsewhere nothing is known here.
        spent = 0 if encoder in UNTRAINED else None
        budget: Budget = {
            "pretrain_frames": spent,
            "probe_frames": data.probe_steps,
            "epochs": spent,
            "optimizer_steps": spent,
            "seconds": round(time.monotonic() - started, 1),
        }
        path = write_record(
            folder,
            evaluation,
            labelled,
            key=key,
            preset=preset_name(preset),
            budget=budget,
            command=command_line,
        )
    print_scores(evaluation)
    print(f"results: {path}")
    return 0


def _said(options: dict[str, Any]) -> dict[str, Any]:
    """Leave out the options that were not given: for these the preset's values hold."""
    return {name: value for name, value in options.items() if value is not None}
