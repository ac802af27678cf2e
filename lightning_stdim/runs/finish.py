"""The end of a run: probing its encoder, and writing its record."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import nn

from lightning_stdim.datamodules.batches import ProbeData
from lightning_stdim.encoders.pretrained import load_encoder, read_checkpoint, save_pretrained
from lightning_stdim.probes import (
    ChallengeSettings,
    Evaluation,
    Supervised,
    evaluate_encoder,
    majority,
)
from lightning_stdim.runs.curves import draw_curves
from lightning_stdim.runs.directory import ENCODER
from lightning_stdim.runs.environment import environment
from lightning_stdim.runs.key import RunKey
from lightning_stdim.runs.predictions import Predictions
from lightning_stdim.runs.results import Budget, write_results


def evaluate(
    encoder: nn.Module | None,
    data: ProbeData,
    *,
    model: nn.Module | None = None,
    **settings: Any,
) -> Evaluation:
    """Score an encoder by probes, and a supervised model by its own heads, too.

    Args:
        encoder: the encoder to probe. None stands for always predicting the most frequent label;
            beside a supervised model, for one that has an encoder for every variable.
        data: labelled and split frames.
        model: the model that was trained; if it is supervised, after ``trainer.test``.
        **settings: arguments of :func:`evaluate_encoder`.

    Returns:
        The scores of all protocols. If ``challenge`` is one of them, scores that no probe makes
        have the challenge report's F1, too.
    """
    own: Evaluation | None = None
    if isinstance(model, Supervised):
        own = model.scores()
    elif encoder is None:
        own = majority(data)
    if own is not None and "challenge" in settings.get("protocols", ()):
        size = (settings.get("challenge") or ChallengeSettings()).batch_size
        own = own.with_report_f1(data, batch_size=size, seed=settings.get("seed", 0))
    if encoder is None:  # also a supervised model with an encoder for every variable
        assert own is not None
        return own
    probed = evaluate_encoder(encoder, data, **settings)
    return probed if own is None else own.with_protocols_of(probed)


def write_record(
    folder: Path,
    evaluation: Evaluation,
    data: ProbeData,
    *,
    key: RunKey,
    preset: str | None,
    budget: Budget,
    command: str,
    checkpoint: Path | None = None,
) -> Path:
    """Write the files of a finished run.

    These are ``predictions.npz``; ``curves.png`` if there is a ``metrics.csv``; the folder
    ``encoder``; and ``results.json`` at the end, which shows that the run has finished.

    Args:
        folder: the run's directory.
        evaluation: the run's scores.
        data: the frames that were probed.
        key: the run's identity.
        preset: name of the preset; None if there was none.
        budget: what the run cost.
        command: the command line that made the run.
        checkpoint: the checkpoint whose encoder is kept; None for a run without an encoder of its
            own.

    Returns:
        The path of ``results.json``.

    Raises:
        StoreError: a file cannot be written, or the checkpoint cannot be read.
    """
    # The most frequent label is the same for every frame: there is nothing to look at.
    looked = {name: found for name, found in evaluation.predictions.items() if name != "majority"}
    if looked:
        Predictions.of(data, looked).write(folder)
    results = {
        "key": key.to_dict(),
        "game": key.game,
        "method": key.method,
        "preset": preset,
        "variant": key.variant,
        "seed": key.seed,
        "scores": evaluation.to_dict(),
        "budget": budget,
        "command": command,
        "environment": environment(),
    }
    if (metrics := folder / "metrics.csv").is_file():
        draw_curves(metrics, folder / "curves.png")
    if checkpoint is not None:
        described = read_checkpoint(checkpoint)["hyper_parameters"]
        save_pretrained(
            load_encoder(checkpoint),
            folder / ENCODER,
            path=described["encoder"],
            args=described["encoder_args"],
            pixels=described.get("pixels", "luma"),
            results=results,
        )
    return write_results(folder, results)
